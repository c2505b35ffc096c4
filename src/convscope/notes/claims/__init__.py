"""The claims, a file per set of notes, each with the function that computes the right value."""
