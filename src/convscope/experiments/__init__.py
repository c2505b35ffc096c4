"""Floor 4: many trainings that answer one question: what each part is worth, and what several networks know together."""
