"""Inputs from files other than images, for networks of any number of axes: sounds and arrays of numbers."""
