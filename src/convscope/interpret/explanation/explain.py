"""The verb `explain`: a model by name or as it is, an input by path or as it is, and one cell."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from convscope.api.annotations import Seed
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.capture.capture import capture
from convscope.capture.declared import main_input
from convscope.capture.input_shapes import smallest_input
from convscope.capture.load import Loaded, ModelLike, load
from convscope.errors import CaptureError
from convscope.interpret.explanation.given import Given, GivenNetwork, in_dtype, network_input
from convscope.interpret.explanation.lens import Lens
from convscope.interpret.explanation.record import Explanation
from convscope.nets.modules import on_cpu
from convscope.report.units import shape as shape_text


@public
@exclusive(None)
def explain(
    model: ModelLike,
    image: Given,
    *,
    layer: str,
    channel: int = 0,
    at: Sequence[int] | None = None,
    input_shape: Sequence[int] | None = None,
    seed: Seed = 0,
) -> Explanation:
    """Say where one number in a network comes from.

    Args:
        model: a module, or a function that makes one; a catalogue name, file.py:factory, package.module:factory,
            timm/NAME or an ONNX file; a run, what `convscope.train` returned, or a predictor.
        image: an image as a path, bytes, a file object or a PIL image, or "digits/7" for a built-in digit; a WAV file
            (1-D); an array, a tensor or an array file (.npy, .npz). Of these uint8 is pixels (H, W), (H, W, C) or
            (C, H, W). Floating-point numbers are an image's intensities, 0 to 1, for a run, an outcome or a predictor;
            for any other model they are the network's own input, used as it is: (C, L), (C, H, W) or (C, D, H, W), with
            or without a batch axis (N, ...), of which the first sample is explained.
        layer: a layer's name as `inspect` prints it, such as "layer1.0.conv1" or "layer1.0:add".
        channel: which feature map, or which unit.
        at: where on the map: (x,), (y, x) or (depth, y, x); None for a fully connected layer. One number more
            before them is the place along the first axis, such as a box of a detector.
        input_shape: of one sample, (C, L), (C, H, W) or (C, D, H, W); the model's own unless given.
        seed: of the random weights of a model that has none of its own.

    Returns:
        The explanation: print it, show it in a notebook, `.to_dict()` it, or go on `.down()`.

    Raises:
        CaptureError: no such model or layer.
        DataError: the input can't be read, or does not have the network's channels or sizes.
        GeometryError: a cell outside the map; the message has the map's size.

    >>> import numpy as np
    >>> black = np.zeros((5, 5), np.uint8)
    >>> found = explain(torch.nn.Conv2d(1, 1, 3, bias=False), black, layer="convolution", at=(0, 0))
    >>> found.kind, found.value
    ('products', 0.0)
    >>> found = explain(torch.nn.Conv1d(1, 1, 3, bias=False), torch.ones(1, 8), layer="convolution", at=(2,))
    >>> found.position, found.shape
    ((0, 0, 2), (1, 1, 6))
    """
    return lens(model, image, input_shape=input_shape, seed=seed).cell(layer, channel=channel, at=at or ())


def lens(model: ModelLike, image: Given, *, input_shape: Sequence[int] | None = None, seed: int = 0) -> Lens:
    """Return a network and an input of which any cell can be explained; arguments as for `explain`."""
    loaded = load(model)
    network = given_network(loaded, input_shape, seed)
    given = network_input(image, network)
    name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "the input"
    tensor = in_dtype(given.tensor, network.dtype, name=name, network=network.name)
    notes = list(filter(None, (loaded.weights_note(seed),)))
    try:
        inputs, more = loaded.beside(tensor)
        notes += (*given.notes, *more)
        return Lens(network.module, inputs, name=network.name, pixels=given.pixels, notes=notes)
    except CaptureError as error:
        if len(loaded.declared) > 1:
            raise
        raise CaptureError(f"{error}{_smallest_that_works(network, tensor, loaded.input_shape)}") from None


def given_network(loaded: Loaded, input_shape: Sequence[int] | None, seed: int) -> GivenNetwork:
    """Return a model that was found with its weights, drawn from the seed where it has none, and its input shape.

    It is on the CPU, where numbers are the same on every machine: of a network on another device a copy.

    Raises:
        CaptureError: it is on another device and can't be copied.
    """
    shape = loaded.input_shape if input_shape is None else tuple(input_shape)
    module = loaded.module
    if module is None:
        with exclusive():
            torch.manual_seed(seed)
            module = loaded.build().eval()
    name = loaded.name or type(module).__name__
    module = on_cpu(module, name=name)
    kind = getattr(torch, main_input(loaded.declared).dtype) if loaded.declared else None
    return GivenNetwork(name, module, shape, loaded.preprocessing, takes_images=loaded.takes_images, input_dtype=kind)


def _smallest_that_works(network: GivenNetwork, tensor: torch.Tensor, known: tuple[int, ...] | None) -> str:
    """Return the end of an error if a larger input works."""
    if network.input_shape is None or capture(network.module, [tensor]).error is None:
        return ""
    smallest = smallest_input(network.module, tuple(tensor.shape[1:]), known)
    return f"; the smallest input that works is {shape_text(smallest)}" if smallest else ""
