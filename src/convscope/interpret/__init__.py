"""Floor 3: seeing what a network computes and what it learned."""
