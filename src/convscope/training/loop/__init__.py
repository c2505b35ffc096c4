"""The training loop: its state, a step, and the diagnosis of numbers that are not finite."""
