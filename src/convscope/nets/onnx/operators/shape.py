"""ONNX operators that move elements or make them from nothing: reshape, slice, pad, gather, scatter, shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional as F

from convscope.nets.onnx.step import (
    OnnxInputs,
    OnnxResult,
    OnnxStep,
    OnnxValue,
    UntranslatedError,
    array,
    at,
    integers,
    tensor,
)

_PAD_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _reshape(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    sizes = node.setting("shape", inputs, 1)
    if sizes is None:
        raise UntranslatedError("nothing says the shape")
    if not node.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 and i < x.ndim else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axis = tensor(inputs[0]), node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    if axis == 1 and x.ndim > 1:
        return torch.flatten(x, 1)
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    return x.reshape(rows, int(np.prod(x.shape[axis:], dtype=np.int64)))


def _transpose(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    return x.permute(node.get("perm") or tuple(reversed(range(x.ndim))))


def _squeeze(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axes = tensor(inputs[0]), node.setting("axes", inputs, 1)
    if axes is None:
        return x.squeeze()
    if any(x.shape[axis] != 1 for axis in axes):
        raise UntranslatedError(f"it squeezes axes {axes} of {tuple(x.shape)}")
    return x.squeeze(tuple(axes))


def _unsqueeze(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axes = tensor(inputs[0]), node.setting("axes", inputs, 1) or []
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _concat(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    parts, axis = [tensor(value) for value in inputs], node.get("axis", 1)
    if not all(-part.ndim <= axis < part.ndim for part in parts):
        raise ValueError(f"axis {axis} of {parts[0].ndim}")
    return torch.cat(parts, dim=axis)


def _split(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axis = tensor(inputs[0]), node.get("axis", 0)
    sizes, parts = node.setting("split", inputs, 1), node.get("num_outputs") or len(node.outputs)
    if sizes is None:
        chunk = -(-x.shape[axis] // parts)
        sizes = [min(chunk, x.shape[axis] - i * chunk) for i in range(parts)]
    return list(torch.split(x, sizes, dim=axis))


def _slice(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    starts, ends = node.setting("starts", inputs, 1) or [], node.setting("ends", inputs, 2) or []
    axes = node.setting("axes", inputs, 3) or list(range(len(starts)))
    steps = node.setting("steps", inputs, 4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = x.shape[axis]
        if step < 0:
            # From the back: the same elements of the mirrored axis, from the front.
            first, last, _ = slice(max(start, -size), None if end < -size else end, step).indices(size)
            x, start, end, step = x.flip(axis), size - 1 - first, size - 1 - last, -step
        places = range(size)[start:end:step]
        x = x[(slice(None),) * (axis % x.ndim) + (slice(places.start, max(places.start, places.stop), step),)]
    return x


def _expand(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(integers(inputs[1]))))


def _tile(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    if node.version >= 6:
        return x.repeat(integers(inputs[1]))
    repeats = [1] * x.ndim
    repeats[integers(inputs[2])[0]] = integers(inputs[1])[0]
    return x.repeat(repeats)


def _shape(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    value = inputs[0]
    sizes = tuple(value.shape if isinstance(value, torch.Tensor) else array(value).shape)
    return np.array(sizes[node.get("start", 0) : node.get("end")], dtype=np.int64)


def _size(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    value = inputs[0]
    sizes = tuple(value.shape if isinstance(value, torch.Tensor) else array(value).shape)
    return np.array(np.prod(sizes, dtype=np.int64))


def _constant_of_shape(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    value = node.get("value", np.zeros(1, np.float32)).ravel()
    return torch.full(integers(inputs[0]), value[0].item(), dtype=torch.from_numpy(value).dtype)


def range_length(inputs: OnnxInputs) -> int:
    """Return how many numbers a Range node makes."""
    start, limit, delta = (array(value).ravel()[0] for value in inputs)
    return max(0, int(np.ceil((limit - start) / delta)))


def _range(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    start, _, delta = (array(value).ravel()[0] for value in inputs)
    count = range_length(inputs)
    steps = torch.arange(count, dtype=torch.from_numpy(np.array(start)).dtype)
    counted: torch.Tensor = steps * delta.item() + start.item()
    return counted


def _pad(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x = tensor(inputs[0])
    pads = node.setting("pads", inputs, 1) or node.setting("paddings", inputs, 99) or []
    axes = [axis % x.ndim for axis in node.setting("axes", inputs, 3) or range(x.ndim)]
    before, after = dict(zip(axes, pads[: len(axes)], strict=True)), dict(zip(axes, pads[len(axes) :], strict=True))
    changed = [axis for axis in axes if before[axis] or after[axis]]
    first = min(changed, default=x.ndim - 1)
    amounts = [n for axis in reversed(range(first, x.ndim)) for n in (before.get(axis, 0), after.get(axis, 0))]
    mode = node.get("mode", "constant")
    if mode == "constant":
        fill = at(inputs, 2)
        return F.pad(x, amounts, value=node.get("value", 0.0) if fill is None else array(fill).item())
    around = min(first, 2)  # torch pads up to three axes by a mode, behind one or two that stay
    if any(n < 0 for n in amounts) or x.ndim - around > 3:
        raise UntranslatedError(f"it pads axes {changed} of {x.ndim} by mode {mode!r}")
    amounts += [0] * (2 * (x.ndim - around) - len(amounts))
    made = F.pad(x if around else x[None], amounts, mode=_PAD_MODES[mode])
    return made if around else made[0]


def _depth_to_space(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, block = tensor(inputs[0]), node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    split = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return split.reshape(n, c // block**2, h * block, w * block)


def _space_to_depth(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, block = tensor(inputs[0]), node.get("blocksize")
    n, c, h, w = x.shape
    order = (0, 1, 3, 5, 2, 4) if node.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    split = x.reshape(n, c, h // block, block, w // block, block).permute(order)
    return split.reshape(n, c * block**2, h // block, w // block)


def _from_front(index: OnnxValue, size: int) -> torch.Tensor:
    """Return an index with negative places counted from the front."""
    if isinstance(index, torch.Tensor):
        return torch.where(index < 0, index + size, index).long()
    places = array(index)
    return torch.from_numpy(np.array(np.where(places < 0, places + size, places), dtype=np.int64))


def _gather(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axis, index = tensor(inputs[0]), node.get("axis", 0), inputs[1]
    axis %= x.ndim
    if isinstance(index, np.ndarray) and index.ndim == 0:
        return x.select(axis, int(index))
    if axis == 0 and x.ndim == 2 and isinstance(inputs[0], torch.nn.Parameter) and isinstance(index, torch.Tensor):
        return F.embedding(index.long(), x)
    places = _from_front(index, x.shape[axis])
    picked = torch.index_select(x, axis, places.reshape(-1))
    return picked.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]) if places.ndim != 1 else picked


def _gather_elements(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axis = tensor(inputs[0]), node.get("axis", 0)
    return torch.gather(x, axis, _from_front(inputs[1], x.shape[axis]))


def _gather_nd(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, index = tensor(inputs[0]), tensor(inputs[1]).long()
    if node.get("batch_dims", 0):
        raise UntranslatedError("it gathers by sample")
    return x[tuple(index.unbind(-1))]


def _scatter_elements(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axis = tensor(inputs[0]), node.get("axis", 0)
    index, reduction = _from_front(inputs[1], x.shape[axis]), node.get("reduction", "none")
    if reduction == "none":
        return torch.scatter(x, axis, index, tensor(inputs[2]))
    how = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}[reduction]
    return torch.scatter_reduce(x, axis, index, tensor(inputs[2]), how)


def _scatter_nd(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, index = tensor(inputs[0]), tensor(inputs[1]).long()
    if node.get("reduction", "none") not in ("none", "add"):
        raise UntranslatedError(f"it reduces by {node.get('reduction')!r}")
    return torch.index_put(x, index.unbind(-1), tensor(inputs[2]), accumulate=node.get("reduction") == "add")


def _one_hot(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    index, depth, axis = tensor(inputs[0]).long(), integers(inputs[1])[0], node.get("axis", -1)
    off, on = array(inputs[2])
    places = torch.where(index < 0, index + depth, index).unsqueeze(axis)  # outside of -depth to depth - 1: all off
    axis %= places.ndim
    steps = torch.arange(depth).reshape(depth, *(1,) * (places.ndim - 1 - axis))
    return torch.where(places == steps, on.item(), off.item()).to(torch.from_numpy(array(inputs[2])).dtype)


def _trilu(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    diagonal = 0 if at(inputs, 1) is None else integers(inputs[1])[0]
    return (torch.triu if node.get("upper", 1) else torch.tril)(tensor(inputs[0]), diagonal)


def _eye_like(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    from convscope.nets.onnx.tensors import TORCH_TYPES

    x = tensor(inputs[0])
    made = torch.eye(*x.shape, dtype=TORCH_TYPES.get(node.get("dtype"), x.dtype))
    if node.get("k", 0):
        raise UntranslatedError("its diagonal is not the main one")
    return made


def _nonzero(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    return np.stack(np.nonzero(np.atleast_1d(array(inputs[0])))).astype(np.int64)


def _column_to_image(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    sizes, kernel = tuple(integers(inputs[1])), tuple(integers(inputs[2]))
    pads, axes = node.get("pads", [0] * 2 * len(kernel)), len(kernel)
    if axes != 2 or pads[:axes] != pads[axes:]:
        raise UntranslatedError("its blocks are not of two axes with equal padding")
    dilation, stride = (tuple(node.get(name) or [1] * axes) for name in ("dilations", "strides"))
    return F.fold(tensor(inputs[0]), sizes, kernel, dilation, tuple(pads[:axes]), stride)


def _cumulative_sum(node: OnnxStep, inputs: OnnxInputs) -> OnnxResult:
    x, axis = tensor(inputs[0]), integers(inputs[1])[0]
    backwards = node.get("reverse", 0)
    x = x.flip(axis) if backwards else x
    total = torch.cumsum(x, axis)
    total = total - x if node.get("exclusive", 0) else total
    return total.flip(axis) if backwards else total


OPERATORS: Mapping[str, Callable[[OnnxStep, OnnxInputs], OnnxResult]] = {
    "Reshape": _reshape, "Flatten": _flatten, "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Concat": _concat, "Split": _split, "Slice": _slice, "Expand": _expand, "Tile": _tile, "Shape": _shape,
    "Size": _size, "ConstantOfShape": _constant_of_shape, "Range": _range, "Pad": _pad,
    "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth, "Gather": _gather,
    "GatherElements": _gather_elements, "GatherND": _gather_nd, "ScatterElements": _scatter_elements,
    "Scatter": _scatter_elements, "ScatterND": _scatter_nd, "OneHot": _one_hot, "Trilu": _trilu,
    "EyeLike": _eye_like, "NonZero": _nonzero, "Col2Im": _column_to_image, "CumSum": _cumulative_sum,
}  # fmt: skip
