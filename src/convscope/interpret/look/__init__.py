"""What a trained network looks at and what it learned: pictures, each with the numbers that say how far to trust it."""
