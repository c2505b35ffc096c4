"""Floor 1: the operations of a CNN in NumPy, forward beside backward, with no torch."""
