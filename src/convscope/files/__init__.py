"""Files that a user names: opened only where they are regular, of limited size, and checked as they are read."""
