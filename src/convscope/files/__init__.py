"""Files that a user names: regular files of limited size, checked as they are read."""
