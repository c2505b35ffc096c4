"""Whether a network's maps and predictions move with the image: per layer, over a data set, and a remedy."""
