"""Floor 2: images on a disk become batches on a device."""
