"""Inside a capture: the dispatch mode that writes operations down, and what it keeps track of."""
