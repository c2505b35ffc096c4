"""A Graph run again: in torch from its records, in NumPy at float64, and the audit of one by the other."""
