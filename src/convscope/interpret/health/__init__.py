"""The health of a network's layers over a data set: dead and saturated units, effective rank, norms."""
