"""Elements in other places: rolls, flips, padding, pixel and channel shuffles, windows as columns."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from convscope.capture.operators.rule import Call, OperatorRule, Rule, axis_of
from convscope.capture.operators.shape import move
from convscope.geometry.relation import Expand, Mix, Permute, RelationStep, Reshape, Taps
from convscope.geometry.taps import NO_TAP, PadMode, Positions, listed_taps, pad_taps, roll_taps, slice_taps
from convscope.geometry.window import Window


def _roll(call: Call) -> OperatorRule:
    shifts, dims = call.arguments["shifts"], call.arguments["dims"]
    shape = call.first.shape
    if not dims:
        flat = prod(shape)
        return move("roll", call, Reshape((flat,)), Taps(0, roll_taps(shifts[0], flat)), Reshape(shape))
    axes = [axis_of(d, len(shape)) for d in dims]
    return move("roll", call, *(Taps(a, roll_taps(s, shape[a])) for a, s in zip(axes, shifts, strict=True) if shape[a]))


def _flip(call: Call) -> OperatorRule:
    shape = call.first.shape
    axes = [axis_of(d, len(shape)) for d in call.arguments["dims"]]
    return move("flip", call, *(Taps(a, slice_taps(shape[a] - 1, -1, shape[a], shape[a])) for a in axes))


def _rot90(call: Call) -> OperatorRule:
    first, second = (axis_of(d, call.first.rank) for d in call.arguments["dims"])
    turns = call.arguments["k"] % 4
    shape = list(call.first.shape)
    steps: list[RelationStep] = []
    for _ in range(turns):
        order = list(range(len(shape)))
        order[first], order[second] = second, first
        shape = [shape[i] for i in order]
        steps += [Permute(tuple(order)), Taps(first, slice_taps(shape[first] - 1, -1, shape[first], shape[first]))]
    return move("rot90", call, *steps)


def _pad(mode: PadMode) -> Rule:
    def rule(call: Call) -> OperatorRule:
        amounts = call.arguments["pad" if mode == "constant" else "padding"]
        rank = call.first.rank
        steps = [
            Taps(rank - 1 - i, pad_taps(before, after, mode, call.first.shape[rank - 1 - i]))
            for i, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True))
            if before or after
        ]
        return move("pad" if mode == "constant" else f"{mode}_pad", call, *steps)

    return rule


def _pixel_shuffle(call: Call) -> OperatorRule:
    *batch, channels, height, width = call.first.shape
    r, b = call.arguments["upscale_factor"], len(batch)
    lead = tuple(range(b))
    return move(
        "pixel_shuffle", call,
        Reshape((*batch, channels // (r * r), r, r, height, width)),
        Permute((*lead, b, b + 3, b + 1, b + 4, b + 2)),
        Reshape(call.outputs[0]),
    )  # fmt: skip


def _pixel_unshuffle(call: Call) -> OperatorRule:
    *batch, channels, height, width = call.first.shape
    r, b = call.arguments["downscale_factor"], len(batch)
    lead = tuple(range(b))
    return move(
        "pixel_unshuffle", call,
        Reshape((*batch, channels, height // r, r, width // r, r)),
        Permute((*lead, b, b + 2, b + 4, b + 1, b + 3)),
        Reshape(call.outputs[0]),
    )  # fmt: skip


def _channel_shuffle(call: Call) -> OperatorRule:
    batch, channels, *sizes = call.first.shape
    groups = call.arguments["groups"]
    order = (0, 2, 1, *range(3, 3 + len(sizes)))
    return move(
        "channel_shuffle", call,
        Reshape((batch, groups, channels // groups, *sizes)), Permute(order), Reshape(call.first.shape),
    )  # fmt: skip


def _unfold_windows(call: Call) -> OperatorRule:
    """Describe `x.unfold(dim, size, step)`: windows along one axis, laid out along a new last axis."""
    if not call.first.rank:
        return move("unfold", call, Expand(call.outputs[0]))
    axis = axis_of(call.arguments["dimension"], call.first.rank)
    size, step = call.arguments["size"], call.arguments["step"]
    shape = call.first.shape
    count = call.outputs[0][axis]
    rows = (np.arange(count)[:, None] * step + np.arange(size)).reshape(-1)
    rank = len(shape)
    order = (*range(axis + 1), *range(axis + 2, rank + 1), axis + 1)
    return move(
        "unfold", call,
        Taps(axis, listed_taps(rows, shape[axis], (size, step) if size and step else None)),
        Reshape((*shape[:axis], count, size, *shape[axis + 1 :])),
        Permute(order),
    )  # fmt: skip


def _unfold_gradient(call: Call) -> OperatorRule:
    """Describe the gradient of `x.unfold(dim, size, step)`: the windows of the last axis, added up along `dim`."""
    a, out = call.arguments, call.outputs[0]
    size, step, rank = a["size"], a["step"], len(out)
    if not rank:
        return move("unfold_backward", call, Mix(0, 1), Reshape(()))
    axis = axis_of(a["dim"], rank)
    count = call.first.shape[axis]
    readers = _window_readers(Window(kernel_size=size, stride=step), count, out[axis])
    return move(
        "unfold_backward", call,
        Permute((*range(axis + 1), rank, *range(axis + 1, rank))),
        Reshape((*out[:axis], count * size, *out[axis + 1 :])),
        Taps(axis, listed_taps(readers, count * size, (step, size))),
    )  # fmt: skip


def _window_rows(window: Window, places: int) -> Positions:
    """Return the input positions of an unfolded axis, place by place then tap by tap."""
    taps = np.arange(window.kernel_size) * window.dilation - window.padding_before
    return (np.arange(places)[:, None] * window.stride + taps).reshape(-1)


def _window_readers(window: Window, places: int, size: int) -> Positions:
    """Return what each of `size` positions reads of windows that are added up, counted as `_window_rows` does.

    Windows beyond the first and last are numbered on, as those in the padding.
    """
    taps = np.arange(window.kernel_size)
    place, rest = np.divmod(np.arange(size)[:, None] + window.padding_before - taps * window.dilation, window.stride)
    return np.where(rest == 0, place * window.kernel_size + taps, NO_TAP)


def _column_windows(call: Call) -> list[Window]:
    """Return the windows of `im2col` and `col2im`, one for each of the two axes."""
    a = call.arguments
    return [
        Window(kernel_size=k, dilation=d, padding_before=p, padding_after=p, stride=s)
        for k, d, p, s in zip(a["kernel_size"], a["dilation"], a["padding"], a["stride"], strict=True)
    ]


def _im2col(call: Call) -> OperatorRule:
    *batch, channels, height, width = call.first.shape
    windows = _column_windows(call)
    places = [w.output_size(size) for w, size in zip(windows, (height, width), strict=True)]
    b = len(batch)
    taps = [
        Taps(b + 1 + i, listed_taps(_window_rows(w, n), size, (w.kernel_size, w.stride)))
        for i, (w, n, size) in enumerate(zip(windows, places, (height, width), strict=True))
    ]
    return move(
        "im2col", call, *taps,
        Reshape((*batch, channels, places[0], windows[0].kernel_size, places[1], windows[1].kernel_size)),
        Permute((*range(b), b, b + 2, b + 4, b + 1, b + 3)),
        Reshape(call.outputs[0]),
    )  # fmt: skip


def _col2im(call: Call) -> OperatorRule:
    """Overlapping windows added up: each pixel reads every (place, tap) that falls on it."""
    *batch, channels, height, width = call.outputs[0]
    windows = _column_windows(call)
    places = [w.output_size(size) for w, size in zip(windows, (height, width), strict=True)]
    taps = [w.kernel_size for w in windows]
    b = len(batch)
    added = [
        Taps(b + 1 + i, listed_taps(_window_readers(w, n, size), n * w.kernel_size, (w.stride, w.kernel_size)))
        for i, (w, n, size) in enumerate(zip(windows, places, (height, width), strict=True))
    ]
    return move(
        "col2im", call,
        Reshape((*batch, channels, *taps, *places)),
        Permute((*range(b), b, b + 3, b + 1, b + 4, b + 2)),
        Reshape((*batch, channels, places[0] * taps[0], places[1] * taps[1])),
        *added,
    )  # fmt: skip


RULES: Mapping[str, Rule] = {
    "roll": _roll,
    "flip": _flip,
    "rot90": _rot90,
    "constant_pad_nd": _pad("constant"),
    **{f"reflection_pad{n}d": _pad("reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": _pad("replicate") for n in (1, 2, 3)},
    "_pad_circular": _pad("circular"),
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "unfold": _unfold_windows,
    "unfold_backward": _unfold_gradient,
    "im2col": _im2col,
    "col2im": _col2im,
}
