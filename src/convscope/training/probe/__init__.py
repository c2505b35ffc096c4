"""The head of a network with trained weights, solved: features of every image once, then a convex problem."""
