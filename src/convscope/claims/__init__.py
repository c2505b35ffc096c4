"""The figures of the lecture notes, each with its proof."""
