"""Floor 2: the architectures, one paper a file, and their torch-free catalogue."""
