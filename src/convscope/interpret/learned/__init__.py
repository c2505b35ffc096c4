"""What a network learned, over a data set: filters, patches, confusions, calibration, robustness, health and more."""
