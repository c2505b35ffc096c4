"""A random convolution of a photograph: what filters that nothing has trained make of it; no model is needed."""

from __future__ import annotations

import os
import re

import torch
from torch import nn

from convscope.errors import GeometryError
from convscope.interpret.explanation.given import Given, GivenNetwork, network_input
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.features.feature_maps_record import FeatureMaps
from convscope.interpret.features.map_choices import ScaleOf
from convscope.interpret.subject import Subject

SIDE = 256  # pixels of the picture's sides, unless given
MOST_FILTERS, LARGEST_KERNEL = 1024, 63


def random_convolution(
    image: Given,
    kernels: str = "8x3x3",
    *,
    seed: int = 0,
    size: int = SIDE,
    relu: bool = False,
    scale: ScaleOf = "layer",
    grey: bool = False,
) -> FeatureMaps:
    """Return the feature maps of an image by one convolution with normally distributed random weights.

    The weights have mean 0 and variance 2 / (inputs of a unit), as He et al. 2015 (section 2.2) initialise them; there
    is no bias and no padding. The image is scaled to 0 to 1 around its default mean.

    Args:
        image: a file, an array file (.npy, .npz) of an image among them; PIL image, array or bytes.
        kernels: how many filters, and rows and columns of each: "8x3x3", or "8x5" for 5 rows and columns.
        seed: of the weights.
        size: rows and columns that the image is fitted to.
        relu: apply a rectifier, as a layer of a network would.
        scale: what has one colour scale: each "map" or the "layer".
        grey: convolve the image in grey, with filters of one channel.

    Raises:
        GeometryError: kernels that are not written so, or do not fit into the image.
        DataError: the image can't be read.

    >>> import numpy as np
    >>> black = np.zeros((40, 40, 3), np.uint8)
    >>> random_convolution(black, "8x3x3", size=32).maps.shape
    (8, 30, 30)
    """
    filters, rows, columns = _parsed(kernels)
    if not 1 <= size <= 4096 or max(rows, columns) > size:
        raise GeometryError(f"filters of {rows}×{columns} on an image of {size}×{size}: choose a size of at least "
                            f"{max(rows, columns)}, and at most 4096")  # fmt: skip
    channels = 1 if grey else 3
    convolution = nn.Conv2d(channels, filters, (rows, columns), bias=False)
    deviation = (2 / (channels * rows * columns)) ** 0.5
    with torch.no_grad():
        convolution.weight.normal_(0, deviation, generator=torch.Generator().manual_seed(seed))
    layers: list[tuple[str, nn.Module]] = [("random", convolution), *([("relu", nn.ReLU())] if relu else [])]
    network = nn.Sequential()
    for name, module in layers:
        network.add_module(name, module)
    known = GivenNetwork(
        f"random {filters}×{rows}×{columns}", network.eval(), (channels, size, size), takes_images=True
    )
    given = network_input(image, known)
    subject = Subject(
        network=network,
        name=known.name,
        image_name=os.fspath(image) if isinstance(image, (str, os.PathLike)) else "the image",
        tensor=given.tensor,
        pixels=given.pixels,
        notes=(f"random weights of seed {seed}: nothing here is learned",),
    )
    return feature_maps(subject, layers[-1][0], ranking="order", per_page=max(filters, 1), scale=scale)


def _parsed(kernels: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"\s*([0-9]{1,6})\s*[x×]\s*([0-9]{1,6})(?:\s*[x×]\s*([0-9]{1,6}))?\s*", kernels)
    if found is None:
        raise GeometryError(f"{kernels!r} is not FILTERSxROWSxCOLUMNS: write 8x3x3 for eight filters of 3×3")
    filters, rows, columns = (int(part) for part in (found[1], found[2], found[3] or found[2]))
    if not (1 <= filters <= MOST_FILTERS and 1 <= rows <= LARGEST_KERNEL and 1 <= columns <= LARGEST_KERNEL):
        raise GeometryError(
            f"{kernels}: give 1 to {MOST_FILTERS:,} filters of 1×1 to {LARGEST_KERNEL}×{LARGEST_KERNEL}"
        )
    return filters, rows, columns
