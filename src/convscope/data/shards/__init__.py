"""WebDataset shards: tar archives of images with their labels beside them; read, and written."""
