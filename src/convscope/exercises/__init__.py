"""Exercises on convolutional networks: fresh numbers from a seed, answers read in any spelling, worked steps."""
