"""The HTTP server of the studio; it imports no torch."""
