"""Pictures for the report: what the network sees, what its first layer learned, what it got wrong. All uint8."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from convscope.data.records import Pixels
from convscope.data.training_batches import TrainingBatches

LARGEST_SIDE = 112  # pictures on the page are scaled down to this, so that it stays a small file
GAP = 3
FILTER_SIDE = 72


def first_batch(batches: TrainingBatches, *, count: int) -> tuple[list[Pixels], list[list[tuple[int, float]]]]:
    """Return the first `count` images of the first step as the network gets them, augmented, mixed and resized.

    With each come the classes in its target and their shares, the heaviest first: [(3, 1.0)] where it is one class.
    The draws depend on (seed, epoch, step) and the kind of device alone, so these are the very images of that step.
    """
    first = batches.first()
    seen, targets = first.pixels[:count].cpu(), first.targets[:count].cpu()
    mean = np.array(batches.normalization.mean)
    std = np.array(batches.normalization.std)
    values = seen.permute(0, 2, 3, 1).numpy() * std + mean
    shown = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return [plain(image) for image in shown], [_classes_in(target) for target in targets]


def _classes_in(target: Tensor) -> list[tuple[int, float]]:
    """Return the classes of a target, an index or a row of shares (classes,), and their shares, the heaviest first."""
    if not target.is_floating_point():
        return [(int(target), 1.0)]
    found = [(place, float(target[place])) for place in target.nonzero()[:, 0].tolist()]
    return sorted(found, key=lambda item: -item[1])


def first_filters(weights: Mapping[str, Tensor]) -> tuple[str, Tensor] | None:
    """Return the first convolution's name and weights (out_channels, in_channels, H, W), or None without one."""
    return next(((name, tensor) for name, tensor in weights.items() if tensor.ndim == 4), None)


def filter_sheet(weights: Tensor, *, columns: int = 12) -> Pixels:
    """Return the filters side by side: in colour where they read three channels, else the mean over channels in grey.

    Each filter is scaled by its own largest weight, and 0 is the middle grey, so light is positive and dark negative.
    """
    values = weights.detach().float().numpy().transpose(0, 2, 3, 1)
    if values.shape[3] != 3:
        values = np.repeat(values.mean(3, keepdims=True), 3, axis=3)
    largest = np.maximum(np.abs(values).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    tiles = np.rint((values / largest + 1) * 127.5).astype(np.uint8)
    scale = max(1, FILTER_SIDE // tiles.shape[1])
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    return sheet(list(tiles), columns=min(columns, len(tiles)))


def sheet(images: list[Pixels], *, columns: int) -> Pixels:
    """Return pictures (H, W, 3) of one size in rows, as RGBA with transparent gaps between them."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    whole = np.zeros((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 4), np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        whole[top : top + height, left : left + width, :3] = image
        whole[top : top + height, left : left + width, 3] = 255
    return whole


def plain(image: Pixels) -> Pixels:
    """Return an image (H, W, 1 or 3) as the page shows it: grey without its axis, large ones scaled down."""
    if max(image.shape[:2]) > LARGEST_SIDE:
        image = _scaled_down(image)
    return image[:, :, 0] if image.shape[2] == 1 else image


def _scaled_down(image: Pixels) -> Pixels:
    from PIL import Image

    made = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    made.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    pixels = np.asarray(made)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
