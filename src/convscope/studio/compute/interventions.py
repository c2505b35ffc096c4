"""What is changed about an image or a network before it runs: shift, rotate, blur, crop, occlude; a channel, a kernel.

Image changes are done on the 8-bit picture that the network is given, in order, and what moves in from outside is the
nearest edge pixel. Network changes are exact: a channel that is switched off is 0 at every position for all that reads
it, and a kernel is replaced by the numbers given. The module itself is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from convscope.data.records import Pixels
from convscope.errors import CaptureError, GeometryError
from convscope.files.fields import Fields
from convscope.interpret.behaviour.distortions import blur, rotation
from convscope.interpret.execution.torch_executor import ZeroedPart
from convscope.interpret.replay.replays import Replays
from convscope.report.units import plural
from convscope.studio.compute.opened_model import OpenedModel
from convscope.studio.intervention_text import Intervention

MOST = 64  # interventions at once
GREY = 127  # of what is occluded
LARGEST_SIGMA = 64.0


def changed_picture(pixels: Pixels, interventions: Sequence[Intervention]) -> Pixels:
    """Return a picture (H, W, C) after the changes of images among the interventions, of the same shape.

    Raises:
        UnreadableError: one that can't be read.
        GeometryError: a box outside of the picture.
    """
    for one in interventions:
        change = _OF_IMAGES.get(_operation(one))
        pixels = pixels if change is None else change(pixels, Fields(one))
    return pixels


def changes_image(interventions: Sequence[Intervention]) -> bool:
    """Return whether there is a change of the image among interventions."""
    return any(_operation(one) in _OF_IMAGES for one in interventions)


def changed_network(opened: OpenedModel, interventions: Sequence[Intervention]) -> Replays:
    """Return the network after the changes of networks among the interventions.

    Raises:
        UnreadableError: one that can't be read.
        CaptureError: there is no such layer, or it has no channels or no kernels.
        GeometryError: no such channel; or a kernel of another size.
    """
    zeroed: dict[str, ZeroedPart] = {}
    weights: dict[str, torch.Tensor] = {}
    for one in interventions:
        operation, fields = _operation(one), Fields(one)
        if operation == "channel_off":
            name, axis, channel = _channel(opened, fields)
            known = zeroed[name][1] if name in zeroed else ()
            zeroed[name] = (axis, tuple(dict.fromkeys((*known, channel))))
        elif operation == "kernel":
            name, numbers = _kernel(opened, fields, weights)
            weights[name] = numbers
    replays = opened.replays
    if weights:
        replays = replays.with_weights(weights)
    return replays.with_zeros(zeroed) if zeroed else replays


def require_known(interventions: Sequence[Intervention]) -> None:
    """Raise where an intervention is none that is known, or there are too many.

    Raises:
        GeometryError: too many.
        UnreadableError: of an unknown kind.
    """
    if len(interventions) > MOST:
        raise GeometryError(f"{len(interventions)} changes at once: {MOST} can be made")
    for one in interventions:
        _operation(one)


def _operation(one: Intervention) -> str:
    return Fields.of(one, "intervention.").text("op", one_of=(*_OF_IMAGES, "channel_off", "kernel"))


def _channel(opened: OpenedModel, fields: Fields) -> tuple[str, int, int]:
    name, channel = fields.text("value"), fields.integer("channel", at_least=0)
    value = opened.names.find(name)
    axis = opened.axes_of(value).channels
    if axis is None:
        raise CaptureError(f"{name} gives {opened.graph.shape(value)}, without channels to switch off")
    count = opened.graph.shape(value)[axis]
    if channel >= count:
        raise GeometryError(f"{name} has {plural(count, 'channel')}, 0 to {count - 1}: {channel} is none of them")
    return opened.names.of_value(value), axis, channel


def kernel_record(
    opened: OpenedModel, interventions: Sequence[Intervention], module: str, out: int, into: int
) -> dict[str, Any]:
    """Return one kernel of a convolution after interventions, as the page edits it.

    Args:
        opened: the network.
        interventions: the changes that were made, those of images among them.
        module: the convolution.
        out: the kernel's number along the axis of output channels.
        into: its number along the axis of input channels; of a convolution with groups, within the group.

    Returns:
        `module`, `out`, `in`, `inputs` (how many kernels each output channel has), `weights`, rows of numbers, and
        `presets`, well-known kernels of the same size.

    Raises:
        CaptureError: there is no such layer, or it has no kernels.
        GeometryError: no such kernel, or one of more than two axes.
    """
    weights: dict[str, torch.Tensor] = {}
    for one in interventions:
        if _operation(one) == "kernel":
            name, numbers = _kernel(opened, Fields(one), weights)
            weights[name] = numbers
    kernels = _kernels(opened, module, weights)
    kernel = kernels.weights[kernels.place(Fields({"out": out, "in": into}))].double()
    if kernel.ndim > 2:
        raise GeometryError(f"the kernels of {module} have {kernel.ndim} axes: those of 1 or 2 can be shown as rows")
    rows = kernel.reshape(-1, kernel.shape[-1])
    return {
        "module": module,
        "out": out,
        "in": into,
        "inputs": kernels.inputs,
        "weights": rows.tolist(),
        "presets": _presets(*rows.shape),
    }


def _presets(height: int, width: int) -> dict[str, list[list[float]]]:
    """Return well-known kernels of a size: nothing, the middle cell, a mean, a vertical and a horizontal edge.

    >>> _presets(2, 3)["vertical"], _presets(3, 1)["identity"]
    ([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]], [[0.0], [1.0], [0.0]])
    """
    zero = np.zeros((height, width))
    identity = zero.copy()
    identity[(height - 1) // 2, (width - 1) // 2] = 1.0
    down, right = (np.sign(np.arange(size) - (size - 1) / 2) for size in (height, width))
    found = {
        "zero": zero,
        "identity": identity,
        "mean": zero + 1 / (height * width),
        "vertical": zero + right,
        "horizontal": zero + down[:, None],
    }
    return {name: kernel.tolist() for name, kernel in found.items()}


@dataclass(frozen=True, slots=True)
class _Kernels:
    """The kernels of a convolution, plain or transposed.

    Args:
        module: the convolution's name.
        parameter: the name of its weights.
        weights: (out, in / groups, *S); of a transposed convolution (in, out / groups, *S).
        groups: of its channels.
        transposed: whether the inputs come first.
    """

    module: str
    parameter: str
    weights: torch.Tensor
    groups: int
    transposed: bool

    @property
    def outputs(self) -> int:
        """How many output channels there are."""
        return self.weights.shape[1] * self.groups if self.transposed else self.weights.shape[0]

    @property
    def inputs(self) -> int:
        """How many kernels each output channel has: the inputs of its group."""
        return self.weights.shape[0] // self.groups if self.transposed else self.weights.shape[1]

    def place(self, fields: Fields) -> tuple[int, int]:
        """Return where the kernel of an output channel and an input, counted within the group, is in the weights."""
        out, into = (fields.integer(axis, at_least=0) for axis in ("out", "in"))
        for axis, number, count in (("out", out, self.outputs), ("in", into, self.inputs)):
            if number >= count:
                raise GeometryError(f"{self.module} has kernels {axis} 0 to {count - 1}: {number} is none of them")
        if not self.transposed:
            return out, into
        group, within = divmod(out, self.weights.shape[1])
        return group * self.inputs + into, within


def _kernels(opened: OpenedModel, module: str, changed: Mapping[str, torch.Tensor]) -> _Kernels:
    """Return the kernels of a convolution, after changes by parameter's name."""
    layer = opened.names.find_layer(module)
    arguments = layer.main.arguments
    weight = arguments.get("weight") if layer.main.windows and layer.main.op.endswith("convolution") else None
    record = None if weight is None else opened.graph.values[getattr(weight, "value", -1)]
    if record is None or record.kind != "parameter":
        raise CaptureError(f"{module} has no kernels of its own to replace: name a convolution")
    own = dict(opened.network.module.named_parameters(remove_duplicate=False))
    numbers = changed.get(record.name, own[record.name].detach()).clone()
    return _Kernels(module, record.name, numbers, layer.main.groups, bool(arguments.get("transposed")))


def _kernel(opened: OpenedModel, fields: Fields, changed: Mapping[str, torch.Tensor]) -> tuple[str, torch.Tensor]:
    """Return the name of a convolution's weights, and these with one kernel replaced."""
    module = fields.text("module")
    kernels = _kernels(opened, module, changed)
    numbers, place = kernels.weights, kernels.place(fields)
    given = np.asarray(fields.value("weights"), dtype=object)
    try:
        kernel = torch.tensor(given.astype(np.float64))
    except (TypeError, ValueError):
        raise GeometryError(f"the kernel of {module} must be rows of numbers, all of one length") from None
    wanted = tuple(numbers.shape[2:])
    if tuple(kernel.shape) == (1, *wanted):  # one row, of a kernel along one axis
        kernel = kernel[0]
    if tuple(kernel.shape) != wanted or not bool(torch.isfinite(kernel).all()):
        shape = "×".join(map(str, kernel.shape))
        raise GeometryError(
            f"the kernel is of {shape}, and {module} has {'×'.join(map(str, wanted))}, of finite numbers"
        )
    numbers[place] = kernel.to(numbers.dtype)
    return kernels.parameter, numbers


# --- changes of images --------------------------------------------------------------------------------------------


def _shift(pixels: Pixels, fields: Fields) -> Pixels:
    height, width = pixels.shape[:2]
    down, right = _whole(fields, "dy", height), _whole(fields, "dx", width)
    rows = (np.arange(height) - down).clip(0, height - 1)
    columns = (np.arange(width) - right).clip(0, width - 1)
    moved: Pixels = pixels[rows][:, columns]
    return moved


def _rotate(pixels: Pixels, fields: Fields) -> Pixels:
    degrees = fields.number("degrees", at_least=-360, at_most=360)
    strengths = torch.tensor([abs(degrees)], dtype=torch.float64)
    return _on_levels(pixels, lambda levels: rotation(levels, strengths, torch.tensor([0 if degrees >= 0 else 1])))


def _blur(pixels: Pixels, fields: Fields) -> Pixels:
    sigma = fields.number("sigma", at_least=0, at_most=LARGEST_SIGMA)
    if sigma == 0:
        return pixels
    return _on_levels(pixels, lambda levels: blur(levels, torch.tensor([float(sigma)]), torch.zeros(1)))


def _crop(pixels: Pixels, fields: Fields) -> Pixels:
    y0, x0, y1, x1 = _box(pixels, fields)

    def enlarged(levels: torch.Tensor) -> torch.Tensor:
        part = levels[:, :, y0:y1, x0:x1]
        return functional.interpolate(part, size=pixels.shape[:2], mode="bilinear", align_corners=False)

    return _on_levels(pixels, enlarged)


def _occlude(pixels: Pixels, fields: Fields) -> Pixels:
    y0, x0, y1, x1 = _box(pixels, fields)
    found = pixels.copy()
    found[y0:y1, x0:x1] = GREY
    return found


def _on_levels(pixels: Pixels, change: Callable[[torch.Tensor], torch.Tensor]) -> Pixels:
    levels = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].double() / 255
    found = change(levels)[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(found.numpy())


def _whole(fields: Fields, name: str, limit: int) -> int:
    return fields.integer(name, at_least=-limit, at_most=limit)


def _box(pixels: Pixels, fields: Fields) -> tuple[int, int, int, int]:
    """Return a box (first row, first column, and those after its last) of at least one pixel."""
    found = fields.value("box")
    whole = isinstance(found, list | tuple) and len(found) == 4 and all(type(n) is int for n in found)
    height, width = pixels.shape[:2]
    if not whole or not (0 <= found[0] < found[2] <= height and 0 <= found[1] < found[3] <= width):
        raise GeometryError(
            f"the box must be 4 whole numbers, rows and columns of its corners, within {height}×{width}: y0,x0,y1,x1"
        )
    return (found[0], found[1], found[2], found[3])


_OF_IMAGES: Mapping[str, Callable[[Pixels, Fields], Pixels]] = {
    "shift": _shift, "rotate": _rotate, "blur": _blur, "crop": _crop, "occlude": _occlude,
}  # fmt: skip
