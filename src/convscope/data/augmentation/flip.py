"""Mirroring."""

from __future__ import annotations

import torch
from torch import Tensor

from convscope.data.augmentation.draws import Draws


def flip(batch: Tensor, draws: Draws) -> Tensor:
    """Mirror each image left to right with probability one half."""
    mirrored = draws.uniform() < 0.5
    return torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
