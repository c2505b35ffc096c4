"""Epochs of steps, watched: what the loop is given, how far it has come, and what is done where numbers go wrong."""
