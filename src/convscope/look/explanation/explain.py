"""The verb `explain`: a model by name or as it is, an image by path or as it is, and one cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.capture.load import Loaded, load
from convscope.data.pixels.decode import decode_image, fit, from_array
from convscope.data.records import Decoding
from convscope.errors import CaptureError, DataError
from convscope.look.explanation.lens import Lens
from convscope.look.explanation.record import Explanation
from convscope.look.explanation.worked import Array

Image = str | Path | Array | torch.Tensor

# What most published weights expect (Krizhevsky et al. 2012 onwards: the means and deviations of ImageNet's pixels).
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def explain(
    model: str | nn.Module,
    image: Image,
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
        image: a path, "digits/7" for a built-in digit, uint8 pixels (H, W) or (H, W, C), or a ready tensor
            (C, H, W) or (N, C, H, W).
        layer: a module's path such as "layer1.0.conv1", or an operation in it such as "layer1.0:add".
        channel: which feature map, or which unit.
        at: where on the map: (y, x); nothing for a fully connected layer.
        input_shape: (C, H, W) to bring an image to; the model's own unless given.
        seed: of the random weights of a model that has none of its own.

    Returns:
        The explanation: print it, show it in a notebook, `.to_dict()` it, or go on `.down()`.

    Raises:
        CaptureError: no such model or layer.
        DataError: no such image.
        GeometryError: a cell outside the map; the message has the map's size.

    >>> found = explain(nn.Conv2d(1, 1, 3, bias=False), np.zeros((5, 5), np.uint8), layer="convolution", at=(0, 0))
    >>> found.kind, found.value
    ('products', 0.0)
    """
    return lens(model, image, input_shape=input_shape, seed=seed).cell(layer, channel=channel, at=at)


def lens(model: str | nn.Module, image: Image, *, input_shape: Sequence[int] | None = None, seed: int = 0) -> Lens:
    """A network and an image of which any cell can be explained; arguments as for `explain`."""
    name, notes, preprocessing = "", [], None
    if isinstance(model, str):
        loaded = load(model)
        name = loaded.name
        preprocessing = loaded.preprocessing
        input_shape = input_shape or loaded.input_shape
        module = _built(loaded, seed)
        if loaded.weights is None:
            notes.append(f"the weights are random (seed {seed})")
    else:
        module, name = model, type(model).__name__
    tensor, pixels = prepared(image, input_shape, preprocessing)
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), tensor.dtype)
    return Lens(module, [tensor.to(dtype)], name=name, pixels=pixels, notes=notes)


def prepared(
    image: Image, input_shape: Sequence[int] | None, preprocessing: Mapping[str, Any] | None
) -> tuple[torch.Tensor, Array | None]:
    """An image as the network's input `(1, C, H, W)`, and its pixels as they are drawn.

    Raises:
        DataError: an image that can't be read, or that has not the network's channels.
    """
    if isinstance(image, torch.Tensor):
        tensor = image if image.ndim != 3 else image[None]
        return tensor[:1], drawn(tensor[0].detach().cpu().double().numpy()) if tensor.ndim == 4 else None
    pixels = _pixels(image, input_shape, preprocessing)
    numbers = pixels.astype(np.float64) / 255
    if preprocessing is not None:
        mean, std = preprocessing["mean"], preprocessing["std"]
    else:
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if pixels.shape[2] == 3 else ((0.0,), (1.0,))
    numbers = (numbers - np.asarray(mean)) / np.asarray(std)
    return torch.from_numpy(numbers.transpose(2, 0, 1)[None]).float(), pixels


def drawn(planes: Array) -> Array | None:
    """Numbers `(C, H, W)` as pixels to look at: from the least to the most; None where they are no picture."""
    if planes.ndim != 3 or planes.shape[0] not in (1, 3):
        return None
    low, high = float(planes.min()), float(planes.max())
    scaled = (planes - low) / ((high - low) or 1.0)
    pixels: Array = np.rint(scaled * 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels


def _pixels(image: str | Path | Array, input_shape: Sequence[int] | None, card: Mapping[str, Any] | None) -> Array:
    if isinstance(image, np.ndarray):
        given = image[:, :, None] if image.ndim == 2 else image
        if given.dtype != np.uint8 or given.ndim != 3:
            raise DataError(
                f"pixels are uint8 of shape (H, W) or (H, W, C), got {image.dtype} {image.shape}: give a tensor instead"
            )
        return given if input_shape is None or given.shape == _hwc(input_shape) else _fitted(given, input_shape)
    decoding = Decoding.from_dict(card) if card is not None else _decoding(input_shape)
    digit = re.fullmatch(r"digits/(\d+)", str(image))
    if digit:
        from convscope.data.sources.digits import COUNT, load_digits

        if int(digit[1]) >= COUNT:
            raise DataError(f"{image}: the built-in digits are digits/0 to digits/{COUNT - 1}")
        return np.asarray(fit(from_array(load_digits()[0][int(digit[1])]), decoding))
    return np.asarray(decode_image(image, decoding))


def _hwc(input_shape: Sequence[int]) -> tuple[int, ...]:
    return (*input_shape[1:], input_shape[0])


def _decoding(input_shape: Sequence[int] | None) -> Decoding:
    if input_shape is None:
        raise CaptureError("nothing says what input the model takes: give it, such as --input 3x224x224")
    if len(input_shape) != 3 or input_shape[0] not in (1, 3):
        raise CaptureError(
            f"the model takes {tuple(input_shape)}, which no image file is: use convscope.explain with a tensor"
        )
    return Decoding(size=(input_shape[1], input_shape[2]), channels=input_shape[0])


def _fitted(pixels: Array, input_shape: Sequence[int]) -> Array:
    return np.asarray(fit(from_array(pixels), _decoding(input_shape)))


def _built(loaded: Loaded, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return loaded.build().eval()
