"""A network run again on a batch, operation by operation, with every value and gradient by name."""
