"""A local web page that shows any network: its graph, feature maps, fields, worked numbers and trainings."""
