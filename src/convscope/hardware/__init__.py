"""What machine this is, what its memory is taken like, and which device trains."""
