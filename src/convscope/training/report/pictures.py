"""Pictures for the report: images as the network gets them, the filters of its first layer. All uint8."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

from convscope.data.records import Pixels
from convscope.data.training_batches import TrainingBatches
from convscope.report.png import png_data_uri
from convscope.report.svg import Drawing, element, rectangle, text

LARGEST_SIDE = 112  # pictures on the page are scaled down to this, so that it stays a small file
GAP = 3
FILTERS_ACROSS = 12
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


def largest_weight(weights: Tensor) -> float:
    """Return the largest size of a weight as the filters show it: of the mean over channels unless there are three."""
    return max(float(np.abs(_filters(weights)).max()), 1e-12)


def filter_sheet(weights: Tensor, largest: float) -> Pixels:
    """Return the filters side by side: in colour where they read three channels, else the mean over channels in grey.

    Black is a weight of -largest, the middle grey 0, white +largest: sign and scale are the same for all filters.
    """
    values = _filters(weights)
    tiles = np.rint((values / largest + 1) * 127.5).astype(np.uint8)
    scale = max(1, FILTER_SIDE // max(tiles.shape[1:3]))
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    return sheet(list(tiles), columns=min(FILTERS_ACROSS, len(tiles)))


def colour_bar(largest: float) -> Drawing:
    """Draw the scale of `filter_sheet`: which level stands for which weight."""
    levels = np.arange(256, dtype=np.uint8)[None, :]
    bar = element("image", {"href": png_data_uri(levels), "width": 256, "height": 14, "preserveAspectRatio": "none"})
    labels = [
        text(0, 30, f"−{largest:.3g}", size=11, colour="muted"),
        text(128, 30, "0", size=11, anchor="middle", colour="muted"),
        text(256, 30, f"+{largest:.3g}", size=11, anchor="end", colour="muted"),
    ]
    frame = rectangle(0, 0, 256, 14, stroke="muted")
    description = f"Black is a weight of −{largest:.3g}, the middle grey 0, white +{largest:.3g}."
    return Drawing.of(258, 34, [bar, frame, *labels], title="The scale of the weights", description=description)


def _filters(weights: Tensor) -> npt.NDArray[np.float32]:
    """Return the filters (out_channels, H, W, 3): as they are with three channels, else their mean thrice."""
    values = weights.detach().float().numpy().transpose(0, 2, 3, 1)
    return values if values.shape[3] == 3 else np.repeat(values.mean(3, keepdims=True), 3, axis=3)


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


def plain(image: Pixels, *, side: int = LARGEST_SIDE) -> Pixels:
    """Return an image (H, W, 1 or 3) as the page shows it: grey without its axis, large ones scaled down."""
    if max(image.shape[:2]) > side:
        image = _scaled_down(image, side)
    return image[:, :, 0] if image.shape[2] == 1 else image


def _scaled_down(image: Pixels, side: int) -> Pixels:
    from PIL import Image

    made = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    made.thumbnail((side, side))
    pixels = np.asarray(made)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
