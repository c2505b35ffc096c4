"""How one step is computed: the arithmetic, the optimizer, the rate."""
