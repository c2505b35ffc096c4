"""The catalogue's entries, a file for each period; facts only, no torch."""
