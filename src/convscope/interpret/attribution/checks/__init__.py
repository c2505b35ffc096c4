"""What must stand beside an attribution: does it depend on the weights, does it find the pixels that count."""
