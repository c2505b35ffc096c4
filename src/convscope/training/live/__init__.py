"""A training that is looked at while it runs: what it shows between its steps, at a small share of its time; pauses."""
