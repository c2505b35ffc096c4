"""Weights from files: read without running code, matched to a network by names and shapes, and listed by what fits."""
