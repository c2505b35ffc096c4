"""The architectures, one paper a file, and their torch-free catalogue."""
