"""Floor 2: any nn.Module, run once on fake tensors, becomes a Graph."""
