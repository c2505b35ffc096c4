"""The verb `explain`: a model by name or as it is, an input by path or as it is, and one cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.capture.input_shapes import smallest_input
from convscope.capture.load import Loaded, load
from convscope.errors import CaptureError
from convscope.interpret.explanation.given import Given, GivenNetwork, in_dtype, network_input
from convscope.interpret.explanation.lens import Lens
from convscope.interpret.explanation.record import Explanation
from convscope.nets.modules import preserved_rng
from convscope.public import public
from convscope.report.units import shape as shape_text


@public
def explain(
    model: str | nn.Module,
    image: Given,
    *,
    layer: str,
    channel: int = 0,
    at: Sequence[int] = (),
    input_shape: Sequence[int] | None = None,
    seed: int = 0,
) -> Explanation:
    """Say where one number in a network comes from.

    Args:
        model: a module, or what `convscope explain` takes: a catalogue name, file.py:factory, a run directory.
        image: a path to an image, a WAV file (1-D) or an array file (.npy, .npz); "digits/7" for a built-in digit;
            an array: uint8 pixels (H, W) or (H, W, C), or the network's numbers; or a ready tensor: (C, L), (C, H, W)
            or (C, D, H, W), with or without a batch axis (N, ...), of which the first sample is explained.
        layer: a layer's name as `inspect` prints it, such as "layer1.0.conv1" or "layer1.0:add".
        channel: which feature map, or which unit.
        at: where on the map: (x,), (y, x) or (depth, y, x); nothing for a fully connected layer.
        input_shape: of one sample, (C, L), (C, H, W) or (C, D, H, W); the model's own unless given.
        seed: of the random weights of a model that has none of its own.

    Returns:
        The explanation: print it, show it in a notebook, `.to_dict()` it, or go on `.down()`.

    Raises:
        CaptureError: no such model or layer.
        DataError: the input can't be read, or does not have the network's channels or sizes.
        GeometryError: a cell outside the map; the message has the map's size.

    >>> import numpy as np
    >>> found = explain(nn.Conv2d(1, 1, 3, bias=False), np.zeros((5, 5), np.uint8), layer="convolution", at=(0, 0))
    >>> found.kind, found.value
    ('products', 0.0)
    >>> found = explain(nn.Conv1d(1, 1, 3, bias=False), torch.ones(1, 8), layer="convolution", at=(2,))
    >>> found.position, found.shape
    ((0, 0, 2), (1, 1, 6))
    """
    return lens(model, image, input_shape=input_shape, seed=seed).cell(layer, channel=channel, at=at)


def lens(model: str | nn.Module, image: Given, *, input_shape: Sequence[int] | None = None, seed: int = 0) -> Lens:
    """Return a network and an input of which any cell can be explained; arguments as for `explain`."""
    notes: list[str] = []
    known: tuple[int, ...] | None = None
    shape = None if input_shape is None else tuple(input_shape)
    if isinstance(model, str):
        loaded = load(model)
        known = loaded.input_shape
        network = GivenNetwork(loaded.name, _built(loaded, seed), shape or known, loaded.preprocessing)
        if loaded.run is None:
            notes.append(f"the weights are random (seed {seed})")
    else:
        network = GivenNetwork(type(model).__name__, model, shape)
    given = network_input(image, network)
    module = network.module
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.get_default_dtype())
    name = str(image) if isinstance(image, (str, Path)) else "the input"
    tensor = in_dtype(given.tensor, dtype, name=name, network=network.name)
    try:
        return Lens(module, [tensor], name=network.name, pixels=given.pixels, notes=[*notes, *given.notes])
    except CaptureError as error:
        raise CaptureError(f"{error}{_smallest_that_works(network, tensor, known)}") from None


def _smallest_that_works(network: GivenNetwork, tensor: torch.Tensor, known: tuple[int, ...] | None) -> str:
    """Return the end of an error if a larger input works."""
    if network.input_shape is None or capture(network.module, [tensor]).error is None:
        return ""
    smallest = smallest_input(network.module, tuple(tensor.shape[1:]), known)
    return f"; the smallest input that works is {shape_text(smallest)}" if smallest else ""


def _built(loaded: Loaded, seed: int) -> nn.Module:
    with preserved_rng():
        torch.manual_seed(seed)
        return loaded.build().eval()
