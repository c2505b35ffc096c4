"""What the notes state, a file per set of notes; each claim with the function that computes the right value."""
