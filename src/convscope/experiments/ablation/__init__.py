"""Remove each innovation in turn from a training with everything on, and measure what it was worth."""
