"""A network's answers to images, and how good they are."""
