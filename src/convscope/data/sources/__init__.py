"""What a data source holds, one kind a file: folders, tables, IDX, CIFAR binaries, the built-in digits."""
