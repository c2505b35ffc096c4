"""What the channels of a network compute: filters, feature maps, the image regions that excite each channel most."""
