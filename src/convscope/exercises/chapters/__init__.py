"""The exercises, a file for each chapter: numbers alone; their words are in the table of texts."""
