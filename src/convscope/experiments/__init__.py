"""Experiments of several trainings: ablation, ensemble, learning-rate range test; and the machine check."""
