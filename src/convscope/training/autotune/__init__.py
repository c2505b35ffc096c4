"""How this machine trains this network fastest: measured once, then known."""
