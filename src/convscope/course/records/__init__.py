"""Numbers for widgets, a file for each subject."""
