"""Images on a disk become batches on a device."""
