"""The time of a training: the plan of its steps, what they cost, and how the plan follows the clock."""
