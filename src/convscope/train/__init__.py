"""Floor 3: learning: the recipe, the loop and the run directory."""
