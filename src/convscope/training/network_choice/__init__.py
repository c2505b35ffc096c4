"""Which network a training takes for a time: recipes with each candidate, what of it fits, and the choice."""
