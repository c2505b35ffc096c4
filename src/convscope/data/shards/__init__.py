"""WebDataset shards: tar archives of images and their labels."""
