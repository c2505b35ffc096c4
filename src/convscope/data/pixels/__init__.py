"""Decoding: from the bytes of a file to pixels."""
