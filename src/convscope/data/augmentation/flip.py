"""Mirroring: by a new coin for each image in each epoch, or in turn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from convscope.data.augmentation.batch_rng import BatchRng
from convscope.data.device_copy import to_device

# The stream of the images' first coins beside a run's other draws.
TURN_STREAM = 2**23 - 3


def flip(batch: Tensor, draws: BatchRng) -> Tensor:
    """Mirror each image left to right with probability one half."""
    return flip_these(batch, draws.uniform() < 0.5)


def flip_these(batch: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) of which `mirrored` (N,) says so."""
    return torch.where(mirrored[:, None, None, None], batch.flip(3), batch)


class AlternatingFlip:
    """Which images are mirrored in which epoch: by a coin of the image's own in the first, then in turn.

    So any two epochs in a row show an image both ways, where new coins would show half of the images the same way
    twice (Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv:2404.00498, section 3.6). Decided by
    the seed, the image's row and the epoch.
    """

    def __init__(self, images: int, *, seed: int, device: torch.device | str = "cpu") -> None:
        coins = np.random.default_rng([seed, TURN_STREAM]).random(images) < 0.5
        self._first = torch.from_numpy(coins).to(device)

    def mirrored(self, rows: Tensor, epoch: int) -> Tensor:
        """For the images of these rows (N,), counted from 0, whether they are mirrored in an epoch: bool (N,)."""
        found = self._first[to_device(rows, self._first.device)]
        return ~found if epoch % 2 else found
