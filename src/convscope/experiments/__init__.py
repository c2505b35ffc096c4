"""Floor 4: many trainings that answer one question: what a part is worth, what several networks know together."""
