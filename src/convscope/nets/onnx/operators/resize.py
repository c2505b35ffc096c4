"""ONNX's Resize in torch: by `interpolate` where torch has the same coordinates, else as weighted picks by axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional as F

from convscope.arrays import Array
from convscope.nets.onnx.step import (
    OnnxInputs,
    OnnxResult,
    OnnxStep,
    UntranslatedError,
    array,
    at,
    integers,
    spatial,
    tensor,
)

_ROUND: Mapping[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
# Positions along an axis: which it reads is listed for each.
LARGEST_SIDE = 2**20

# Torch's mode and whether it aligns corners, by ONNX's mode and coordinates.
_SAME: Mapping[tuple[str, str], tuple[str, bool | None]] = {
    ("nearest", "asymmetric floor"): ("nearest", None),
    ("nearest", "half_pixel round_prefer_ceil"): ("nearest-exact", None),
    ("linear", "half_pixel"): ("linear", False),
    ("linear", "pytorch_half_pixel"): ("linear", False),
    ("linear", "align_corners"): ("linear", True),
    ("cubic", "half_pixel"): ("cubic", False),
    ("cubic", "pytorch_half_pixel"): ("cubic", False),
    ("cubic", "align_corners"): ("cubic", True),
}
_BY_AXES = {("linear", 1): "linear", ("linear", 2): "bilinear", ("linear", 3): "trilinear", ("cubic", 2): "bicubic"}


def _resize(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    scales, sizes = _scales_and_sizes(node, inputs, x)
    mode = {"bilinear": "linear"}.get(node.get("mode", "nearest"), node.get("mode", "nearest"))
    old = node.version < 11  # Upsample, and the first Resize
    where = "asymmetric" if old else node.get("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else node.get("nearest_mode", "round_prefer_floor")
    if where == "tf_crop_and_resize" or mode not in ("nearest", "linear", "cubic"):
        raise UntranslatedError(f"it crops, or resizes by mode {mode!r}")
    if max(sizes) > LARGEST_SIDE:
        raise UntranslatedError(f"it makes an axis of {max(sizes):,} positions, and {LARGEST_SIDE:,} are read at most")
    if list(x.shape) == sizes and all(scale == 1 for scale in scales):
        return x.clone()
    # The first Resize makes smaller maps too, and rounds up there, as onnxruntime does; later ones have a setting.
    upwards = [old and mode == "nearest" and scale < 1 and not (1 / scale).is_integer() for scale in scales]
    how = (mode, f"{where} {rounding}" if mode == "nearest" else where)
    torchs = None if any(upwards) else _same_in_torch(node, x, sizes, scales, how)
    if torchs is not None:
        return torchs
    if node.get("antialias", 0):
        raise UntranslatedError("it smooths along other axes or coordinates than torch")
    for axis, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
        if size != x.shape[axis] or scale != 1:
            places = _places(where, size, x.shape[axis], scale, exact=mode != "nearest")
            x = _along(node, x, axis, places, mode, "ceil" if upwards[axis] else rounding)
    return x


def _scales_and_sizes(node: OnnxStep, inputs: OnnxInputs, x: torch.Tensor) -> tuple[list[float], list[int]]:
    """Return the scale and the new size of every axis."""
    first = 1 if node.operator == "Upsample" or node.version < 11 else 2
    given, wanted = at(inputs, first), at(inputs, 3)
    axes = [axis % x.ndim for axis in node.get("axes") or range(x.ndim)]
    scales, sizes = [1.0] * x.ndim, list(x.shape)
    if wanted is not None and array(wanted).size:
        targets = integers(wanted)
        ratios = [target / x.shape[axis] for target, axis in zip(targets, axes, strict=True)]
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        for axis, target, ratio in zip(axes, targets, ratios, strict=True):
            kept = ratio if policy == "stretch" else (min if policy == "not_larger" else max)(ratios)
            scales[axis] = kept
            sizes[axis] = target if policy == "stretch" else int(np.floor(x.shape[axis] * kept + 0.5))
        return scales, sizes
    factors = [float(f) for f in (node.get("scales") or array(given).ravel())]
    for axis, factor in zip(axes, factors, strict=True):
        # The product is rounded to float32, as onnxruntime does: 5 positions times 1.4, which is a little less, are 7.
        scales[axis], sizes[axis] = factor, int(np.floor(np.float32(x.shape[axis]) * np.float32(factor)))
    return scales, sizes


def _same_in_torch(
    node: OnnxStep, x: torch.Tensor, sizes: list[int], scales: list[float], how: tuple[str, str]
) -> torch.Tensor | None:
    """Return what torch's `interpolate` makes; None where its coordinates differ."""
    known = _SAME.get(how)
    exact = all(abs(size - n * scale) < 1e-3 for size, n, scale in zip(sizes, x.shape, scales, strict=True))
    shrinks_to_one = "pytorch" in how[1] and 1 in sizes[2:]
    if known is None or not exact or shrinks_to_one or sizes[:2] != list(x.shape[:2]) or not spatial(x):
        return None
    mode, corners = known
    if mode != "nearest" and mode != "nearest-exact":
        mode = _BY_AXES.get((mode, x.ndim - 2), "")
        if not mode or node.get("exclude_outside", 0) or node.get("cubic_coeff_a", -0.75) != -0.75:
            return None
    smooth = bool(node.get("antialias", 0))
    if smooth and mode not in ("bilinear", "bicubic"):
        return None
    return F.interpolate(x, sizes[2:], mode=mode, align_corners=corners, antialias=smooth)


def _places(where: str, size: int, old: int, scale: float, *, exact: bool) -> Array:
    """Return the coordinate in the input of every position of the output, along one axis.

    What is to be rounded to a position is computed in float32, as onnxruntime does: 1.5 / 0.6 - 0.5 is 2, where float64
    has a little less of the 0.6 that a file holds.
    """
    steps: Array = np.arange(size).astype(np.float64 if exact else np.float32)
    if where == "asymmetric":
        return steps / scale
    if where == "align_corners":
        return steps * (old - 1) / max(1, size - 1)
    if where == "tf_half_pixel_for_nn":
        return (steps + 0.5) / scale
    if where == "pytorch_half_pixel" and size <= 1:
        return np.zeros(size)
    if where == "half_pixel_symmetric":
        centre = old / 2
        return centre * (1 - size / (scale * old)) + (steps + 0.5) / scale - 0.5
    return (steps + 0.5) / scale - 0.5


def _along(node: OnnxStep, x: torch.Tensor, axis: int, places: Array, mode: str, rounding: str) -> torch.Tensor:
    """Resize one axis by picks and weights."""
    last = x.shape[axis] - 1
    if mode == "nearest":
        picked = np.clip(_ROUND[rounding](places), 0, last).astype(np.int64)
        return torch.index_select(x, axis, torch.from_numpy(picked))
    floor = np.floor(places)
    part = places - floor
    offsets, weights = _taps(mode, part, node.get("cubic_coeff_a", -0.75))
    outside = [(floor + o < 0) | (floor + o > last) for o in offsets]
    if node.get("exclude_outside", 0):
        weights = [np.where(out, 0.0, w) for w, out in zip(weights, outside, strict=True)]
        total = np.sum(weights, axis=0)
        weights = [w / total for w in weights]
    shape = (-1, *(1,) * (x.ndim - 1 - axis))
    made = None
    for offset, weight in zip(offsets, weights, strict=True):
        index = torch.from_numpy(np.clip(floor + offset, 0, last).astype(np.int64))
        part_of = torch.index_select(x, axis, index) * torch.from_numpy(weight).to(x.dtype).reshape(shape)
        made = part_of if made is None else made + part_of
    assert made is not None
    return made


def _taps(mode: str, part: Array, a: float) -> tuple[list[int], list[Array]]:
    """Return the offsets that are read and their weights; cubic after Keys (1981), equation 4."""
    if mode == "linear":
        return [0, 1], [1 - part, part]

    def near(t: Array) -> Array:
        weight: Array = (a + 2) * t**3 - (a + 3) * t**2 + 1
        return weight

    def far(t: Array) -> Array:
        weight: Array = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
        return weight

    return [-1, 0, 1, 2], [far(part + 1), near(part), near(1 - part), far(2 - part)]


OPERATORS: Mapping[str, Callable[[OnnxStep, OnnxInputs], OnnxResult]] = {"Resize": _resize, "Upsample": _resize}
