"""What is done to training images, one idea a file; `convscope.data.augment` puts them together."""
