"""Operations that move elements and compute nothing: views, concatenation, slices, padding, shuffles."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import prod

import numpy as np

from convscope.capture.readings import Call, Flow, Operand, Reading, Rule, axis_of
from convscope.geometry.relation import Expand, Mix, Permute, Place, Reshape, Step, Taps
from convscope.geometry.taps import NO_TAP, PadMode, Positions, TapTable, listed_taps, pad_taps, roll_taps, slice_taps
from convscope.geometry.window import Window


def _move(op: str, call: Call, *steps: Step) -> Reading:
    return Reading(op, (Flow(0, 0, steps),))


def _reshape(call: Call) -> Reading:
    names = {"_unsafe_view": "reshape", "view": "reshape", "_reshape_alias": "reshape", "view_copy": "reshape"}
    shape = call.outputs[0]
    steps = () if shape == call.first.shape else (Reshape(shape),)
    return _move(names.get(call.op, call.op), call, *steps)


def _permute(call: Call) -> Reading:
    rank = call.first.rank
    if call.op == "permute":
        order = [axis_of(d, rank) for d in call.arguments["dims"]]
    else:
        order = list(range(rank))
        first, second = (0, rank - 1) if call.op == "t" else (call.axis("dim0"), call.axis("dim1"))
        if rank:
            order[first], order[second] = order[second], order[first]
    return _move("transpose" if call.op == "t" else call.op, call, Permute(tuple(order)))


def _expand(call: Call) -> Reading:
    return _move("expand", call, Expand(call.outputs[0]))


def _repeat(call: Call) -> Reading:
    """`x.repeat(...)`: new axes in front, then each axis is read round and round."""
    shape = call.first.shape
    padded = (1,) * (len(call.outputs[0]) - len(shape)) + shape
    steps: list[Step] = [] if padded == shape else [Expand(padded)]
    for axis, (size, wanted) in enumerate(zip(padded, call.outputs[0], strict=True)):
        if size != wanted:
            steps.append(Taps(axis, listed_taps(np.arange(wanted) % size, size)))
    return _move("repeat", call, *steps)


def _repeat_interleave(call: Call) -> Reading:
    if not isinstance(call.arguments.get("repeats"), int) or call.arguments.get("dim") is None:
        return Reading("repeat_interleave", flows=None)
    axis, repeats = call.axis(), call.arguments["repeats"]
    size = call.first.shape[axis]
    return _move("repeat_interleave", call, Taps(axis, listed_taps(np.arange(size * repeats) // repeats, size)))


def _concat(call: Call) -> Reading:
    shape = call.outputs[0]
    axis = axis_of(call.arguments["dim"], len(shape))
    # A one-dimensional empty tensor may stand among the parts, whatever their rank.
    parts = [p for p in call.operands if p.rank == len(shape)]
    offsets = [0, *accumulate(p.shape[axis] for p in parts)]
    flows = tuple(
        Flow(part.slot, 0, (Place(axis, offset, part.shape[axis], shape[axis]),))
        for part, offset in zip(parts, offsets, strict=False)
    )
    return Reading("concat", flows)


def _stack(call: Call) -> Reading:
    shape = call.outputs[0]
    axis = axis_of(call.arguments["dim"], len(shape))
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    flows = tuple(Flow(p.slot, 0, (Reshape(one), Place(axis, i, 1, shape[axis]))) for i, p in enumerate(call.operands))
    return Reading("stack", flows)


def _part(axis: int, start: int, step: int, length: int, size: int) -> tuple[Step, ...]:
    if (start, step, length) == (0, 1, size):
        return ()
    return (Taps(axis, slice_taps(start, step, length, size)),)


def _split(call: Call) -> Reading:
    axis, size = call.axis(), call.first.shape[call.axis()]
    lengths = [shape[axis] for shape in call.outputs]
    starts = [0, *accumulate(lengths)]
    flows = tuple(
        Flow(0, i, _part(axis, start, 1, length, size))
        for i, (start, length) in enumerate(zip(starts, lengths, strict=False))
    )
    return Reading("split", flows)


def _unbind(call: Call) -> Reading:
    axis, size = call.axis(), call.first.shape[call.axis()]
    flows = tuple(Flow(0, i, (*_part(axis, i, 1, 1, size), Reshape(shape))) for i, shape in enumerate(call.outputs))
    return Reading("unbind", flows)


def _bounds(call: Call, size: int) -> tuple[int, int]:
    start, end = call.arguments["start"], call.arguments["end"]
    first, last, _ = slice(start, end, 1).indices(size)
    return first, max(first, last)


def _slice(call: Call) -> Reading:
    axis = call.axis()
    size = call.first.shape[axis]
    start, _ = _bounds(call, size)
    return _move("slice", call, *_part(axis, start, call.arguments["step"], call.outputs[0][axis], size))


def _narrow(call: Call) -> Reading:
    axis = call.axis()
    return _move(
        "slice", call, *_part(axis, call.arguments["start"], 1, call.arguments["length"], call.first.shape[axis])
    )


def _select(call: Call) -> Reading:
    axis = call.axis()
    size = call.first.shape[axis]
    index = call.arguments["index"] % size
    return _move("select", call, *_part(axis, index, 1, 1, size), Reshape(call.outputs[0]))


def _written_over(covered: Positions | range, size: int, part_size: int) -> tuple[TapTable, TapTable]:
    """Taps of an axis and of the part that is written over its `covered` positions."""
    base = np.arange(size)
    part = np.full(size, NO_TAP)
    base[list(covered)] = NO_TAP
    part[list(covered)] = np.arange(part_size)
    return listed_taps(base, size), listed_taps(part, part_size)


def _slice_scatter(call: Call) -> Reading:
    base, part = call.operand("self"), call.operand("src")
    axis = axis_of(call.arguments["dim"], base.rank)
    start, end = _bounds(call, base.shape[axis])
    covered = range(start, end, call.arguments["step"])
    kept, written = _written_over(covered, base.shape[axis], len(covered))
    return _overwritten("slice_scatter", base, (Taps(axis, kept),), part, (Taps(axis, written),))


def _select_scatter(call: Call) -> Reading:
    base, part = call.operand("self"), call.operand("src")
    axis = axis_of(call.arguments["dim"], base.rank)
    index = call.arguments["index"] % base.shape[axis]
    kept, written = _written_over(range(index, index + 1), base.shape[axis], 1)
    one = (*base.shape[:axis], 1, *base.shape[axis + 1 :])
    return _overwritten("select_scatter", base, (Taps(axis, kept),), part, (Reshape(one), Taps(axis, written)))


def _overwritten(op: str, base: Operand, kept: tuple[Step, ...], part: Operand, written: tuple[Step, ...]) -> Reading:
    return Reading(op, (Flow(base.slot, 0, kept), Flow(part.slot, 0, written)))


def _roll(call: Call) -> Reading:
    shifts, dims = call.arguments["shifts"], call.arguments["dims"]
    shape = call.first.shape
    if not dims:
        flat = prod(shape)
        return _move("roll", call, Reshape((flat,)), Taps(0, roll_taps(shifts[0], flat)), Reshape(shape))
    axes = [axis_of(d, len(shape)) for d in dims]
    return _move(
        "roll", call, *(Taps(a, roll_taps(s, shape[a])) for a, s in zip(axes, shifts, strict=True) if s % shape[a])
    )


def _flip(call: Call) -> Reading:
    shape = call.first.shape
    axes = [axis_of(d, len(shape)) for d in call.arguments["dims"]]
    return _move("flip", call, *(Taps(a, slice_taps(shape[a] - 1, -1, shape[a], shape[a])) for a in axes))


def _rot90(call: Call) -> Reading:
    first, second = (axis_of(d, call.first.rank) for d in call.arguments["dims"])
    turns = call.arguments["k"] % 4
    shape = list(call.first.shape)
    steps: list[Step] = []
    for _ in range(turns):
        order = list(range(len(shape)))
        order[first], order[second] = second, first
        shape = [shape[i] for i in order]
        steps += [Permute(tuple(order)), Taps(first, slice_taps(shape[first] - 1, -1, shape[first], shape[first]))]
    return _move("rot90", call, *steps)


def _pad(mode: PadMode) -> Rule:
    def rule(call: Call) -> Reading:
        amounts = call.arguments["pad" if mode == "constant" else "padding"]
        rank = call.first.rank
        steps = [
            Taps(rank - 1 - i, pad_taps(before, after, mode, call.first.shape[rank - 1 - i]))
            for i, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True))
            if before or after
        ]
        return _move("pad" if mode == "constant" else f"{mode}_pad", call, *steps)

    return rule


def _pixel_shuffle(call: Call) -> Reading:
    *batch, channels, height, width = call.first.shape
    r, b = call.arguments["upscale_factor"], len(batch)
    lead = tuple(range(b))
    return _move(
        "pixel_shuffle", call,
        Reshape((*batch, channels // (r * r), r, r, height, width)),
        Permute((*lead, b, b + 3, b + 1, b + 4, b + 2)),
        Reshape(call.outputs[0]),
    )  # fmt: skip


def _pixel_unshuffle(call: Call) -> Reading:
    *batch, channels, height, width = call.first.shape
    r, b = call.arguments["downscale_factor"], len(batch)
    lead = tuple(range(b))
    return _move(
        "pixel_unshuffle", call,
        Reshape((*batch, channels, height // r, r, width // r, r)),
        Permute((*lead, b, b + 2, b + 4, b + 1, b + 3)),
        Reshape(call.outputs[0]),
    )  # fmt: skip


def _channel_shuffle(call: Call) -> Reading:
    batch, channels, *sizes = call.first.shape
    groups = call.arguments["groups"]
    order = (0, 2, 1, *range(3, 3 + len(sizes)))
    return _move(
        "channel_shuffle", call,
        Reshape((batch, groups, channels // groups, *sizes)), Permute(order), Reshape(call.first.shape),
    )  # fmt: skip


def _unfold_windows(call: Call) -> Reading:
    """`x.unfold(dim, size, step)`: windows along one axis, laid out along a new last axis."""
    axis = axis_of(call.arguments["dimension"], call.first.rank)
    size, step = call.arguments["size"], call.arguments["step"]
    shape = call.first.shape
    count = call.outputs[0][axis]
    rows = (np.arange(count)[:, None] * step + np.arange(size)).reshape(-1)
    rank = len(shape)
    order = (*range(axis + 1), *range(axis + 2, rank + 1), axis + 1)
    return _move(
        "unfold", call,
        Taps(axis, listed_taps(rows, shape[axis])),
        Reshape((*shape[:axis], count, size, *shape[axis + 1 :])),
        Permute(order),
    )  # fmt: skip


def _window_rows(window: Window, places: int) -> Positions:
    """Input positions of an unfolded axis, tap by tap then place by place."""
    taps = np.arange(window.kernel_size)[:, None] * window.dilation - window.padding_before
    return (taps + np.arange(places) * window.stride).reshape(-1)


def _column_windows(call: Call) -> list[Window]:
    """The windows of `im2col` and `col2im`, one for each of the two axes."""
    a = call.arguments
    return [
        Window(kernel_size=k, dilation=d, padding_before=p, padding_after=p, stride=s)
        for k, d, p, s in zip(a["kernel_size"], a["dilation"], a["padding"], a["stride"], strict=True)
    ]


def _im2col(call: Call) -> Reading:
    *batch, channels, height, width = call.first.shape
    windows = _column_windows(call)
    places = [w.output_size(size) for w, size in zip(windows, (height, width), strict=True)]
    b = len(batch)
    taps = [
        Taps(b + 1 + i, listed_taps(_window_rows(w, places[i]), call.first.shape[b + 1 + i]))
        for i, w in enumerate(windows)
    ]
    return _move(
        "im2col", call, *taps,
        Reshape((*batch, channels, windows[0].kernel_size, places[0], windows[1].kernel_size, places[1])),
        Permute((*range(b), b, b + 1, b + 3, b + 2, b + 4)),
        Reshape(call.outputs[0]),
    )  # fmt: skip


def _col2im(call: Call) -> Reading:
    """Overlapping windows added up: each pixel reads every (tap, place) that falls on it."""
    *batch, channels, height, width = call.outputs[0]
    windows = _column_windows(call)
    places = [w.output_size(size) for w, size in zip(windows, (height, width), strict=True)]
    taps = [w.kernel_size for w in windows]
    b = len(batch)
    steps: list[Step] = [
        Reshape((*batch, channels, *taps, *places)),
        Permute((*range(b), b, b + 1, b + 3, b + 2, b + 4)),
        Reshape((*batch, channels, taps[0] * places[0], taps[1] * places[1])),
    ]
    for i, window in enumerate(windows):
        written = _window_rows(window, places[i])
        readers = [np.flatnonzero(written == pixel) for pixel in range(call.outputs[0][b + 1 + i])]
        rows = np.full((len(readers), max(1, *(len(r) for r in readers))), NO_TAP, dtype=np.int64)
        for pixel, read in enumerate(readers):
            rows[pixel, : len(read)] = read
        steps.append(Taps(b + 1 + i, listed_taps(rows, taps[i] * places[i])))
    return _move("col2im", call, *steps)


def _as_real(call: Call) -> Reading:
    """A complex number becomes two real ones along a new last axis."""
    return _move("view_as_real", call, Reshape((*call.first.shape, 1)), Mix(call.first.rank, 2))


def _as_complex(call: Call) -> Reading:
    return _move("view_as_complex", call, Mix(call.first.rank - 1, 1), Reshape(call.outputs[0]))


def _as_other_type(call: Call) -> Reading:
    """The same bits read as another type: element by element where the sizes agree."""
    same = call.outputs[0] == call.first.shape
    return Reading("view", (Flow(0),) if same else None)


def _triangle(call: Call) -> Reading:
    return _move(call.op, call)


def _diagonal_places(call: Call, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Positions]:
    """The axes' order that brings the two of a diagonal to the end, and its positions once they are flattened."""
    rank = len(shape)
    first, second = axis_of(call.arguments["dim1"], rank), axis_of(call.arguments["dim2"], rank)
    offset = call.arguments["offset"]
    rows, columns = shape[first], shape[second]
    length = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
    u = np.arange(length)
    positions = (u + max(0, -offset)) * columns + u + max(0, offset)
    return (*(axis for axis in range(rank) if axis not in (first, second)), first, second), positions


def _diagonal(call: Call) -> Reading:
    shape = call.first.shape
    order, positions = _diagonal_places(call, shape)
    flat = (*(shape[axis] for axis in order[:-2]), shape[order[-2]] * shape[order[-1]])
    return _move("diagonal", call, Permute(order), Reshape(flat), Taps(len(flat) - 1, listed_taps(positions, flat[-1])))


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _diagonal_scatter(call: Call) -> Reading:
    base, part = call.operand("self"), call.operand("src")
    order, positions = _diagonal_places(call, base.shape)
    moved = tuple(base.shape[axis] for axis in order)
    flat = (*moved[:-2], moved[-2] * moved[-1])
    axis = len(flat) - 1
    kept, written = _written_over(positions, flat[axis], part.shape[-1])
    back = (Reshape(moved), Permute(_inverse(order)))
    return Reading(
        "diagonal_scatter",
        (
            Flow(base.slot, 0, (Permute(order), Reshape(flat), Taps(axis, kept), *back)),
            Flow(part.slot, 0, (Taps(axis, written), *back)),
        ),
    )


def _strided_places(call: Call, shape: tuple[int, ...], source: tuple[int, ...]) -> Positions | None:
    """Element numbers that a strided view of a tensor reads, when the tensor lies in order in its own memory."""
    grid = np.full((1,) * len(shape), call.arguments["storage_offset"] or 0)
    for axis, (size, stride) in enumerate(zip(shape, call.arguments["stride"], strict=True)):
        grid = grid + (np.arange(size) * stride).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return None if grid.size and int(grid.max()) >= prod(source) else grid.reshape(-1)


def _as_strided(call: Call) -> Reading:
    places = _strided_places(call, call.outputs[0], call.first.shape)
    if places is None:
        return Reading("as_strided", flows=None)
    total = prod(call.first.shape)
    return _move("as_strided", call, Reshape((total,)), Taps(0, listed_taps(places, total)), Reshape(call.outputs[0]))


def _as_strided_scatter(call: Call) -> Reading:
    base, part = call.operand("self"), call.operand("src")
    places = _strided_places(call, part.shape, base.shape)
    if places is None:
        return Reading("as_strided_scatter", flows=None)
    total = prod(base.shape)
    kept, written = _written_over(places, total, prod(part.shape))
    return Reading(
        "as_strided_scatter",
        (
            Flow(base.slot, 0, (Reshape((total,)), Taps(0, kept), Reshape(base.shape))),
            Flow(part.slot, 0, (Reshape((prod(part.shape),)), Taps(0, written), Reshape(base.shape))),
        ),
    )


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "_reshape_copy", "squeeze", "unsqueeze",
         "flatten", "unflatten"),
        _reshape,
    ),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    "expand": _expand,
    "expand_copy": _expand,
    "repeat": _repeat,
    "tile": _repeat,
    "repeat_interleave": _repeat_interleave,
    "cat": _concat,
    "stack": _stack,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk",
                     "split_with_sizes_copy", "split_copy", "unsafe_split_with_sizes"), _split),
    "unbind": _unbind,
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
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
    "im2col": _im2col,
    "col2im": _col2im,
    "view_as_real": _as_real,
    "view_as_complex": _as_complex,
    "view.dtype": _as_other_type,
    "tril": _triangle,
    "triu": _triangle,
    "diagonal": _diagonal,
    "diagonal_scatter": _diagonal_scatter,
    "as_strided_scatter": _as_strided_scatter,
    "as_strided": _as_strided,
}  # fmt: skip
