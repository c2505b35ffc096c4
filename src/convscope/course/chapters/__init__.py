"""One file a chapter: its widget, its exercises, and the numbers in its texts."""
