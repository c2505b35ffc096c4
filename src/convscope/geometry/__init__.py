"""Integers only: sizes, costs and reach of single layers, with no torch."""
