"""convscope with its images replaced by one ready float batch in memory: what training takes when data costs nothing.

    cd bench; python -m kit.synthetic train FOLDER ...

Everything else, the command, the plan and the loop, is as it is. Leave augmentation out by its options.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from convscope.cli.main import main
from convscope.data.batches import Batches


@lru_cache
def noise(images: int, height: int, width: int, channels: int) -> Tensor:
    """Return normal numbers, float32 (N, C, H, W), channels-last in memory."""
    return torch.randn(images, channels, height, width).contiguous(memory_format=torch.channels_last)


def ready(self: Batches) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield as many batches as there would be, of the same shapes, with the same labels."""
    pixels = noise(self.batch_size, *self.image_set.images.shape[1:])
    for rows in torch.from_numpy(self.order()).split(self.batch_size)[: len(self)]:
        yield pixels[: len(rows)], torch.from_numpy(self.image_set.labels[rows.numpy()]), rows


if __name__ == "__main__":
    Batches.__iter__ = ready
    main()
