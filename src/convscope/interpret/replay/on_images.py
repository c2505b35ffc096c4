"""A network on the images of a data set: the first one as its input, and on how many it runs at once."""

from __future__ import annotations

import numpy as np
import torch

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.interpret.replay.replays import Replays


def first_input(replays: Replays, images: ImageSet, normalization: Normalization) -> torch.Tensor:
    """Return the first image as the network takes it, (1, C, H, W)."""
    return to_floats(np.asarray(images.images[np.arange(1)]), normalization, device=replays.device)


def images_at_once(replays: Replays, images: ImageSet, normalization: Normalization, most: int) -> int:
    """Return how many of some images the network runs on at once: `most`, or 1 where it takes one image at a time.

    Raises:
        CaptureError: the network does not run on one image either.

    >>> from torch import nn
    >>> class OfOneImage(nn.Module):
    ...     def forward(self, x: torch.Tensor) -> torch.Tensor:
    ...         return x.mean((2, 3)).reshape(1, 3)
    >>> given = ImageSet(np.zeros((20, 8, 8, 3), np.uint8), np.zeros(20, np.int64), [""] * 20)
    >>> [images_at_once(Replays(one), given, Normalization.default(3), 16) for one in (nn.Flatten(), OfOneImage())]
    [16, 1]
    """
    count = min(most, len(images))
    if count < 2:
        return count
    # Laid out in memory as a batch of images is, of which there is a capture then.
    pixels = np.asarray(images.images[np.arange(1)]).repeat(count, axis=0)
    return count if replays.takes([to_floats(pixels, normalization, device=replays.device)]) else 1


def on_pixels(replays: Replays) -> Replays:
    """Return a network on batches of float32, which pixels become: in its own type, or in float32 if that is shorter.

    >>> from torch import nn
    >>> network = nn.Conv2d(1, 2, 3).to(torch.float64)
    >>> on_pixels(Replays(network)).class_scores(torch.zeros(2, 1, 5, 5)).dtype
    torch.float64
    """
    own = next((tensor.dtype for tensor in replays.network.parameters() if tensor.is_floating_point()), None)
    if own is None or own is torch.float32:
        return replays
    return replays.computed_in(torch.float32 if own in (torch.float16, torch.bfloat16) else own)
