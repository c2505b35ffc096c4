"""Floor 6: the command line, one thin command per file."""
