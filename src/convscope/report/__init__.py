"""Floor 1: how values become ink: units, terminal tables, SVG and HTML, with no torch."""
