"""A recipe and images become a run directory."""
