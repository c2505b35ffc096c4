"""The course: eight chapters as data, and the numbers that their widgets show. Without torch."""
