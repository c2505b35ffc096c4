"""Floor 0: integers only. Sizes, costs and reach of single layers, with no torch."""
