"""The operator table: what each ATen operation does to positions, and what it costs; one family a file."""
