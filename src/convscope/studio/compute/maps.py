"""Feature maps of a run as bytes: a page of channels as uint8, ranked; and a part of one map in full, as float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from convscope.arrays import Array, Floats
from convscope.errors import CaptureError, GeometryError
from convscope.interpret.features.contribution import contributions, gradient_times_activation
from convscope.report.progress import Progress, no_progress
from convscope.studio.compute.image_run import ImageRun, finite_range
from convscope.studio.compute.opened_model import value_of
from convscope.studio.protocol import Packet, StudioError

ORDERS = ("index", "energy", "contribution", "gradient")
LARGEST_PAGE = 512  # channels
LARGEST_BYTES = 2**22  # of a page, which of large maps has fewer channels than asked for
LEVELS = 255
SMALLEST_SPAN = 1e-36  # of numbers whose levels float32 can tell apart: 255 over it is no infinity


@dataclass(frozen=True, eq=False)
class DrawnMaps:
    """The maps of a value as they are drawn, in rows and columns.

    Args:
        numbers: (C, H, W).
        axes: of positions that the value has: 0 for a vector, 1 for a signal, 2 for a map, 3 for a volume.
        slices: of a volume; 1 elsewhere.
        at: which slice is drawn.
    """

    numbers: torch.Tensor
    axes: int
    slices: int = 1
    at: int = 0


def sheet_of(run: ImageRun, value: int, at: int | None = None) -> DrawnMaps:
    """Return the maps of a value in rows and columns: of a signal one row each, of a volume one slice, the middle one.

    Raises:
        CaptureError: the value holds no numbers that can be drawn.
        GeometryError: there is no such slice.
    """
    maps = run.maps(value)
    if maps.is_complex() or not maps.numel():
        raise CaptureError(f"{run.opened.names.of_value(value)} gives {maps.dtype} of {tuple(maps.shape)}: no maps")
    numbers = maps if maps.is_floating_point() else maps.float()
    axes = numbers.ndim - 1
    if axes <= 2:
        shape = (numbers.shape[0], *(1,) * (2 - axes), *numbers.shape[1:])
        return DrawnMaps(numbers.reshape(shape), 0 if prod(numbers.shape[1:]) == 1 else axes)
    volume = numbers.reshape(numbers.shape[0], -1, *numbers.shape[-2:])
    slices = volume.shape[1]
    place = slices // 2 if at is None else at
    if not 0 <= place < slices:
        raise GeometryError(f"slice {place} is none of 0 to {slices - 1}")
    return DrawnMaps(volume[:, place], axes, slices, place)


def maps_packet(
    run: ImageRun,
    name: str,
    *,
    order: str = "index",
    page: int = 0,
    size: int = 64,
    target: int | None = None,
    at: int | None = None,
    progress: Progress = no_progress,
) -> Packet:
    """Return a page of a value's feature maps as uint8, each from its own least to its own largest number.

    Args:
        run: the network and the image.
        name: the value's key.
        order: "index", "energy" (mean square), "contribution" (by how much the class's score falls without the
            channel) or "gradient" (gradient times activation); all but the first rank by size, the largest first.
        page: from 0.
        size: channels on a page; fewer where the maps are large.
        target: the class of the last two; the predicted one unless given.
        at: the slice of a volume.
        progress: of the contributions.

    Raises:
        CaptureError: no such value, or it holds nothing that can be drawn.
        StudioError: of kind "range": no such page.
    """
    value = value_of(run.opened, name)
    sheet = sheet_of(run, value, at)
    count, height, width = sheet.numbers.shape
    if order not in ORDERS:
        raise StudioError(f"order {order[:40]!r} is none of {', '.join(ORDERS)}", "range")
    size = max(1, min(size, LARGEST_PAGE, LARGEST_BYTES // (height * width)))
    pages = -(-count // size)
    if not 0 <= page < pages:
        raise StudioError(f"there is no page {page}: the {count} channels fill {pages}, 0 to {pages - 1}", "range")
    ranked, measures = _ranked(run, value, sheet, order, target, progress)
    channels = ranked[page * size : (page + 1) * size]
    chosen = sheet.numbers if channels == list(range(count)) else sheet.numbers[torch.tensor(channels)]
    bytes_, low, high = as_levels(chosen)
    finite = bool(torch.isfinite(chosen).all())
    layer, network = finite_range(sheet.numbers), run.network_range
    header: dict[str, Any] = {
        "value": name,
        "shape": [count, height, width],
        "channels": channels,
        "order": order,
        "page": page,
        "pages": pages,
        "lo": low.tolist(),
        "hi": high.tolist(),
        "layer": {"lo": layer[0], "hi": layer[1]},
        "network": {"lo": network[0], "hi": network[1]},
        "kind": "map" if sheet.axes else "vector",
        "axes": sheet.axes,
        "finite": finite,
    }
    if measures is not None:
        header["measures"] = [round(float(measures[channel]), 6) for channel in channels]
    if sheet.slices > 1:
        header |= {"slices": sheet.slices, "slice": sheet.at}
    return Packet(header, bytes_.tobytes())


def as_levels(maps: torch.Tensor) -> tuple[Array, Floats, Floats]:
    """Return maps (C, H, W) as uint8, each from its least number (0) to its largest (255), with both, (C,).

    What is not finite is drawn as the nearest end, and NaN as the least.

    >>> levels, low, high = as_levels(torch.tensor([[[0.0, 0.5, 1.0]], [[3.0, 3.0, 3.0]]]))
    >>> levels.tolist(), low.tolist(), high.tolist()
    ([[[0, 128, 255]], [[0, 0, 0]]], [0.0, 3.0], [1.0, 3.0])
    """
    flat = maps.reshape(len(maps), -1).float()
    low, high = flat.aminmax(dim=1)
    if not bool(torch.isfinite(low).all() & torch.isfinite(high).all()):
        finite = flat.isfinite()
        low = torch.where(finite, flat, torch.inf).amin(1)
        high = torch.where(finite, flat, -torch.inf).amax(1)
        low, high = torch.where(low.isfinite(), low, 0.0), torch.where(high.isfinite(), high, 0.0)
        flat = torch.where(flat.isnan(), low[:, None], flat.maximum(low[:, None]).minimum(high[:, None]))
    span = high - low
    if bool((span.isinf() | (span > 0) & (span < SMALLEST_SPAN)).any()):
        flat, low, high = flat.double(), low.double(), high.double()
        span = high - low
    factor = torch.where(span > 0, LEVELS / span, 0.0)
    levels = flat.sub(low[:, None]).mul_(factor[:, None]).add_(0.5).to(torch.uint8)
    return levels.reshape(maps.shape).numpy(), low.double().numpy(), high.double().numpy()


def values_packet(run: ImageRun, name: str, channel: int, box: Sequence[int] | None, at: int | None = None) -> Packet:
    """Return the numbers of a part of one map, float32 (h, w), as they are.

    Raises:
        CaptureError: no such value.
        StudioError: of kind "range": no such channel, or a box outside of the map.
    """
    value = value_of(run.opened, name)
    sheet = sheet_of(run, value, at)
    count, height, width = sheet.numbers.shape
    if not 0 <= channel < count:
        raise StudioError(f"{name} has {count} channels, 0 to {count - 1}: {channel} is none of them", "range")
    y0, x0, y1, x1 = (0, 0, height, width) if box is None else box
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise StudioError(f"the box {y0},{x0},{y1},{x1} is not within {height}×{width}", "range")
    part = sheet.numbers[channel, y0:y1, x0:x1].float().contiguous().numpy()
    header = {"value": name, "channel": channel, "box": [y0, x0, y1, x1], "shape": list(part.shape), "dtype": "float32"}
    return Packet(header, part.tobytes())


def _ranked(
    run: ImageRun, value: int, sheet: DrawnMaps, order: str, target: int | None, progress: Progress
) -> tuple[list[int], Floats | None]:
    """Return the channels in order, and the measure of each by its number; None of the order by number."""
    count = len(sheet.numbers)
    if order == "index":
        return list(range(count)), None
    known = run.rankings
    key = (value, order, target, sheet.at)
    if key not in known:
        if order == "energy":
            measures = run.maps(value).reshape(count, -1).double().square().mean(1).numpy()
        else:
            number = run.subject.target(target)
            if order == "gradient":
                measures = gradient_times_activation(run.subject, value, number)
            else:
                measures = contributions(run.subject, value, number, progress=progress)
            run.forget_gradients()
        known[key] = measures
    measures = known[key]
    strength = np.where(np.isnan(measures), np.inf, np.abs(measures))
    return [int(channel) for channel in np.argsort(-strength, kind="stable")], measures
