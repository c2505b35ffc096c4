"""What a network of any number of axes can be given from a file, beside images: sounds and arrays of numbers."""
