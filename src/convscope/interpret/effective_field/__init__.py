"""How large the fields of a network's layers are: by theory, by paths, by gradients before and after training."""
