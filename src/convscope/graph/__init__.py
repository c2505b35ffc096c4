"""Floor 1: the Graph of a network as plain records, and every analysis on it, with no torch."""
