"""The catalogue's entries, a file per chapter of the history; facts only, no torch."""
