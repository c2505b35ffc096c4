"""Several networks that differ in their seed alone, whose probabilities are averaged."""
