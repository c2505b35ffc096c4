"""The lecture notes that convscope grew from: every figure in them, and its proof."""
