"""What a run is told: each setting, all of them, and the named recipes."""
