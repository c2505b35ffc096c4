"""Trace shapes through a network without arithmetic: the module runs on the meta device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from math import prod
from typing import cast

import torch
from torch import nn
from torch.func import functional_call

from convscope.errors import GeometryError
from convscope.geometry import convolution, pooling
from convscope.geometry.window import Padding, Window
from convscope.nets.attributes import attributes_kept
from convscope.nets.modules import evaluation_mode

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)

_ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity, nn.LocalResponseNorm, nn.modules.batchnorm._BatchNorm,
                nn.modules.dropout._DropoutNd)  # fmt: skip


class VanishedError(GeometryError):
    """An input so small that a layer's output has size 0."""


def trace_shapes(network: nn.Module, input_shape: Sequence[int], *, batch: int = 1) -> dict[str, tuple[int, ...]]:
    """Return the output shape of every module by name, in the order in which they finish; "" is the network itself.

    Shapes are without the batch. Weights, modes and the random state are not changed. A module that is used more than
    once has its last shape; one whose output is not a tensor is left out.

    Raises:
        VanishedError: the input is too small, or of a size that the network does not take; the message names the
            layer.

    >>> trace_shapes(nn.Sequential(nn.Conv2d(3, 8, 5), nn.MaxPool2d(2)), (3, 32, 32))
    {'0': (8, 28, 28), '1': (8, 14, 14), '': (8, 14, 14)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    inside: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def enter(name: str, module: nn.Module, inputs: tuple[object, ...]) -> None:
        shape = tuple(inputs[0].shape) if inputs and isinstance(inputs[0], torch.Tensor) else ()
        inside.append((name, module, shape))

    def leave(name: str, output: object) -> None:
        inside.pop()
        if isinstance(output, torch.Tensor):
            shapes.pop(name, None)
            shapes[name] = tuple(output.shape[1:])

    state = {name: tensor.to("meta") for name, tensor in (*network.named_parameters(), *network.named_buffers())}
    probe = torch.empty((batch, *input_shape), device="meta")
    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(network))
        stack.enter_context(torch.no_grad())
        # It may cache tensors, which are without data here; and functional_call gives a module that has two names back
        # without its weights.
        stack.enter_context(attributes_kept(network))
        for name, module in network.named_modules():
            before = module.register_forward_pre_hook(lambda m, inputs, name=name: enter(name, m, inputs))
            after = module.register_forward_hook(lambda _m, _inputs, output, name=name: leave(name, output))
            stack.callback(before.remove)
            stack.callback(after.remove)
        try:
            functional_call(network, state, (probe,))
        except Exception as error:  # networks of other libraries raise AssertionError and more for a size
            raise VanishedError(_where(inside, error)) from error
    return shapes


def flat_features(features: nn.Module, input_shape: Sequence[int], *, name: str = "features") -> int:
    """Return the number of values that `features` makes of one input: the inputs of a fully connected layer after it.

    `name` is its name in the network, for errors; "" if its layers become the network's own.

    >>> flat_features(nn.Sequential(nn.Conv2d(1, 16, 5), nn.MaxPool2d(2)), (1, 14, 14))
    400
    """
    whole = nn.Sequential(OrderedDict([(name, features)])) if name else features
    return prod(output_shape(whole, input_shape))


def output_shape(chain: nn.Module, input_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape after a chain of layers, without the batch: by our own arithmetic where that knows all of them.

    Else the shape is traced, for which torch imports its symbolic shapes: a third of a process's time to a prediction.

    Raises:
        VanishedError: the input is too small; see `trace_shapes`.

    >>> output_shape(nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.MaxPool2d(2)), (3, 32, 32))
    (8, 14, 14)
    """
    shape = tuple(input_shape)
    for _, layer in chain.named_modules(remove_duplicate=False):
        if type(layer) is nn.Sequential or isinstance(layer, _ELEMENTWISE):
            continue
        windows = _windows(layer, len(shape) - 1) if type(layer) in (*_CONVOLUTIONS, *_POOLINGS) else None
        if windows is None or (isinstance(layer, _POOLINGS) and getattr(layer, "dilation", 1) != 1):
            return trace_shapes(chain, input_shape)[""]
        try:
            sizes = convolution.output_sizes(shape[1:], windows)
        except GeometryError:
            return trace_shapes(chain, input_shape)[""]  # which says in which layer
        shape = (layer.out_channels if isinstance(layer, _CONVOLUTIONS) else shape[0], *sizes)
    return shape


def _windows(module: nn.Module, axes: int) -> tuple[Window, ...] | None:
    """Return the sliding windows of a convolution or pooling over a number of spatial axes; None for another layer."""
    if isinstance(module, _CONVOLUTIONS):
        return convolution.windows(
            axes,
            module.kernel_size,
            stride=module.stride,
            padding=cast("Padding", module.padding),
            dilation=module.dilation,
        )
    if isinstance(module, _POOLINGS):
        return pooling.pooling_windows(
            axes, module.kernel_size, stride=module.stride, padding=module.padding, ceil_mode=module.ceil_mode
        )
    return None


def _where(inside: list[tuple[str, nn.Module, tuple[int, ...]]], error: Exception) -> str:
    """Return the layer in which the run stopped and the reason, from `Window` if the layer is a window."""
    name, module, shape = inside[-1]
    layer = f"layer {name!r} ({type(module).__name__})" if name else type(module).__name__
    try:
        if (windows := _windows(module, len(shape) - 2)) is not None:
            convolution.output_sizes(shape[2:], windows)
    except GeometryError as misfit:
        return f"the input vanishes at {layer}: {str(misfit).rsplit(': ', 1)[0]}"
    said = str(error).splitlines() or [type(error).__name__]
    return f"the input does not fit at {layer}: {said[0].rstrip('.')}"
