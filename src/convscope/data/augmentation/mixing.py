"""Mixing pairs of images and their labels: Mixup and CutMix.

Sources: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"; Yun et al. 2019, "CutMix".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from convscope.data.augmentation.batch_rng import WHOLE_BATCH, BatchPart, BatchRng
from convscope.data.augmentation.crops import box
from convscope.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How images are mixed: `mixup` and `cutmix` are the α of Beta(α, α), from which a pair's share is drawn; 0: off.

    With both on, each pair draws which of the two. `classes` is how many there are, for the soft targets.

    Raises:
        DataError: an α below 0, or no classes.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    classes: int = 0

    def __post_init__(self) -> None:
        if self.mixup < 0 or self.cutmix < 0:
            raise DataError(f"mixup {self.mixup} and cutmix {self.cutmix} are each an alpha, 0 or more")
        if self.on and self.classes < 1:
            raise DataError("mixing labels needs to know how many classes there are")

    @property
    def on(self) -> bool:
        """Return whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0


def mix(
    pixels: Tensor, targets: Tensor, mixing: Mixing, *, generator: torch.Generator, part: BatchPart = WHOLE_BATCH
) -> tuple[Tensor, Tensor]:
    """Mix each image (N, C, H, W) and target with its neighbour; return both as they are where nothing is on.

    Targets are int64 (N,) or float (N, classes), and come back as float (N, classes): an image's own share λ of its
    target, and 1 - λ of its partner's. Rows 0 and 1, 2 and 3, ... of the whole batch are pairs, which is as good as any
    other choice in a shuffled order, and lets parts of even length pair as the whole does; where a part splits
    a pair, and at the end of an odd batch, an image stays as it is.
    """
    if not mixing.on:
        return pixels, targets
    draws = BatchRng(len(pixels), part, generator)
    row = part.start + torch.arange(draws.count, device=pixels.device)
    partner = (row ^ 1) - part.start
    alone = (partner < 0) | (partner >= draws.count)
    partner = torch.where(alone, row - part.start, partner)
    share, cutting, centers = _drawn(mixing, draws, row // 2, pixels.device)
    # A box that takes 1 - λ of the area, its centre anywhere; what hangs over the edge counts for the image itself.
    height, width = pixels.shape[2:]
    reach = torch.sqrt(1 - share)
    tall, wide = (reach * height).long(), (reach * width).long()
    top, left = (centers[0] * height).long() - tall // 2, (centers[1] * width).long() - wide // 2
    rows, columns = box(top, top + tall, height), box(left, left + wide, width)
    area = rows.sum(1) * columns.sum(1)
    share = torch.where(cutting, 1 - area / (height * width), share)
    inside = (rows[:, None, :, None] & columns[:, None, None, :]) | ~cutting[:, None, None, None]
    blend = torch.where(cutting, torch.zeros_like(share), share).to(pixels.dtype)[:, None, None, None]
    other = pixels[partner]
    mixed = torch.where(inside, blend * pixels + (1 - blend) * other, pixels)
    shares = targets if targets.is_floating_point() else functional.one_hot(targets, mixing.classes).to(pixels.dtype)
    own = share.to(shares.dtype)[:, None]
    return mixed, own * shares + (1 - own) * shares[partner]


def _drawn(mixing: Mixing, draws: BatchRng, pair: Tensor, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return each image's λ (N,), whether it is cut (N,), and the box's centre (2, N) as shares of the sides."""
    pairs = (draws.total + 1) // 2
    generator = draws.generator
    uniform = torch.rand(3, pairs, generator=generator, device=device)
    either = mixing.cutmix > 0 if mixing.mixup == 0 or mixing.cutmix == 0 else None
    cutting = uniform[0] < 0.5 if either is None else torch.full((pairs,), either, device=device)
    alpha = torch.where(cutting, mixing.cutmix, mixing.mixup).to(torch.float32)
    # Two gamma draws as shares of their sum are a Beta(α, α) draw.
    gammas = torch._standard_gamma(alpha.repeat(2, 1), generator=generator)
    share = gammas[0] / (gammas[0] + gammas[1])
    return share[pair], cutting[pair], uniform[1:, pair]
