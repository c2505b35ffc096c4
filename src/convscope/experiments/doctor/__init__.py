"""What this machine can do, and what training reaches of it: everything measured, nothing looked up."""
