"""Augmentation of whole batches, on the device where they are: crops, flips, TrivialAugment, colour, cutout.

Mixing images and their labels comes after it (`convscope.data.augmentation.mixing`).
Every image of a batch gets its own draw; the draws come from one generator, so the same generator state gives the
same batch, whatever the number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from convscope.data.augmentation.batch_rng import WHOLE_BATCH, BatchPart, BatchRng
from convscope.data.augmentation.crops import cutout, padded_crop, random_resized_crop
from convscope.data.augmentation.mixing import Mixing
from convscope.data.augmentation.pca_lighting import ColorAxes, measure_color_axes, pca_lighting
from convscope.data.augmentation.trivial_augment import trivial_augment
from convscope.data.batches import to_device
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.report.short_repr import ShortRepr

# The random stream of the alternating flip's first draws, beside a run's other draws.
FLIP_STREAM = 2**23 - 3


@dataclass(frozen=True, kw_only=True, repr=False)
class Augmentation(ShortRepr):
    """What is done to training images; the default does nothing.

    `flip`: half of the images are mirrored left to right, by a draw for each (`flip_mode` "random") or each in every
    other epoch ("alternating", see `AlternatingFlip`). `random_crop_padding`: pad by this number of pixels on each side
    (`padding_mode` "reflect" or "zero") and cut a window of the old size out at a random place (He et al. 2016, 4.2).
    `random_resized_crop`: cut a window of random area (`crop_area`, as fractions) and shape (3/4 to 4/3) and
    scale it back (Szegedy et al. 2015). `cutout`: set a square of this side in pixels, at a random centre, to 0, the
    mean of normalised images (DeVries and Taylor 2017). `trivial_augment`: one operation for each image at a
    random strength (Müller and Hutter 2021). `pca_lighting`: standard deviation of a shift along the principal
    components of the training images' colours (Krizhevsky et al. 2012, 4.1). `mixing` is for `mix`, which changes
    labels as well.

    The last two are measured on the training images, by `fitted`.
    """

    flip: bool = False
    flip_mode: Literal["random", "alternating"] = "random"
    random_crop_padding: int = 0
    padding_mode: Literal["reflect", "zero"] = "reflect"
    random_resized_crop: bool = False
    crop_area: tuple[float, float] = (0.25, 1.0)
    cutout: int = 0
    trivial_augment: bool = False
    pca_lighting: float = 0.0
    mixing: Mixing = field(default_factory=Mixing)
    normalization: Normalization | None = None
    color_axes: ColorAxes | None = None

    def __post_init__(self) -> None:
        if self.random_crop_padding < 0 or self.cutout < 0:
            raise DataError(
                f"random_crop_padding {self.random_crop_padding} and cutout {self.cutout} are pixels, 0 or more"
            )
        if self.pca_lighting < 0:
            raise DataError(f"pca_lighting {self.pca_lighting} is a standard deviation, 0 or more")
        if self.padding_mode not in ("reflect", "zero"):
            raise DataError(f"padding_mode {self.padding_mode!r} is not reflect or zero")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise DataError(f"crop_area {self.crop_area} is not (low, high) with 0 < low <= high <= 1")


def fitted(augmentation: Augmentation, train: ImageSet, normalization: Normalization) -> Augmentation:
    """Return the augmentation with what it needs to measure on the training images, and nothing else measured."""
    axes = measure_color_axes(train) if augmentation.pca_lighting else None
    return replace(augmentation, normalization=normalization, color_axes=axes)


def generator_for(seed: int, epoch: int, step: int, *, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator for one batch, decided by (seed, epoch, step) alone: a resumed run draws the same again."""
    # torch's CPU generator looks at the low 32 bits of a seed only, so the three numbers are hashed into them.
    (mixed,) = np.random.SeedSequence([seed, epoch, step]).generate_state(1)
    return torch.Generator(device=device).manual_seed(int(mixed))


class AlternatingFlip:
    """The images that are mirrored in an epoch: in the first by a draw for each image, then each in every other one.

    So any two epochs in a row show an image both ways, where new draws would show half of the images the same way
    twice (Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv:2404.00498, section 3.6). Decided by
    the seed, the image's row and the epoch.
    """

    def __init__(self, images: int, *, seed: int, device: torch.device | str = "cpu") -> None:
        draws = np.random.default_rng([seed, FLIP_STREAM]).random(images) < 0.5
        self._first = torch.from_numpy(draws).to(device)

    def mirrored(self, rows: Tensor, epoch: int) -> Tensor:
        """Return bool (N,): whether the images of these rows (N,), from 0, are mirrored in an epoch, from 0."""
        found = self._first[to_device(rows, self._first.device)]
        return ~found if epoch % 2 else found


def augment(
    batch: Tensor,
    augmentation: Augmentation,
    *,
    generator: torch.Generator,
    part: BatchPart = WHOLE_BATCH,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Augment a float batch (N, C, H, W) image by image; return a new tensor of the same shape unless nothing is on.

    `part` is the place of these rows in a larger batch: the draws are made for all of it, and each image gets its own,
    so that N processes augment as one does. `mirrored` (N,) are the images to mirror with the alternating flip.
    """
    draws = BatchRng(len(batch), part, generator)
    if augmentation.random_resized_crop:
        batch = random_resized_crop(batch, augmentation.crop_area, draws)
    if augmentation.random_crop_padding:
        batch = padded_crop(batch, augmentation.random_crop_padding, augmentation.padding_mode, draws)
    if augmentation.flip and augmentation.flip_mode == "random":
        batch = _flip(batch, draws)
    elif augmentation.flip:
        assert mirrored is not None, "the alternating flip needs `mirrored`"
        batch = _flip_these(batch, mirrored)
    if augmentation.trivial_augment or augmentation.pca_lighting:
        batch = _recolored(batch, augmentation, draws)
    if augmentation.cutout:
        batch = cutout(batch, augmentation.cutout, draws)
    return batch


def _recolored(batch: Tensor, augmentation: Augmentation, draws: BatchRng) -> Tensor:
    """Apply the augmentations of levels, which need to know how they were normalised."""
    normalization, axes = augmentation.normalization, augmentation.color_axes
    if normalization is None or (augmentation.pca_lighting and axes is None):
        raise DataError("trivial_augment and pca_lighting need to know the training images: see `fitted`")
    if augmentation.trivial_augment:
        batch = trivial_augment(batch, normalization, draws)
    if augmentation.pca_lighting and axes is not None:
        batch = pca_lighting(batch, augmentation.pca_lighting, axes, normalization, draws)
    return batch


def _flip(batch: Tensor, draws: BatchRng) -> Tensor:
    """Mirror each image left to right with probability one half."""
    return _flip_these(batch, draws.uniform() < 0.5)


def _flip_these(batch: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) where `mirrored` (N,) is True."""
    return torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
