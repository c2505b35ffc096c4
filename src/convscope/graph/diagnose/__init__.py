"""Warnings about a network's design: each names the layer, what was found there, and what to do about it."""
