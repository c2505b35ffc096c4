"""What every public function does around its own work: check its arguments, and run in a known state of torch."""
