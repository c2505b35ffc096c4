"""The compute process of the studio: torch is imported here alone."""
