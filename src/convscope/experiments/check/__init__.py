"""Everything that a training would find in a data set, and what is likely wrong with it; nothing is trained or kept."""
