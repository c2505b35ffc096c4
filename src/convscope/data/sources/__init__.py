"""The listings of data sources, one kind a file: folders, tables, IDX, CIFAR binaries, the built-in digits."""
