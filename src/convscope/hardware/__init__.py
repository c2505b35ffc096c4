"""The machine, its memory allocator, and the device that trains."""
