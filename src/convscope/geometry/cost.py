"""The cost of a layer: parameters and MACs. The convention is defined here only.

One multiply-add is one **MAC**; adding the bias is not a MAC; pooling, comparisons and activations have none.
Nothing here is called a FLOP: a MAC is two of them, and the factor of two is where published tables disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from convscope.errors import GeometryError


@dataclass(frozen=True, slots=True)
class Cost:
    """Weights, biases and MACs for one sample.

    >>> Cost(weights=750, biases=10, macs=768_000).parameters
    760
    """

    weights: int
    biases: int
    macs: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


def require_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Check that `groups` divides both channel counts.

    >>> require_groups(6, 8, 4)
    Traceback (most recent call last):
    ...
    convscope.errors.GeometryError: groups 4 must divide in_channels 6 and out_channels 8
    """
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise GeometryError(f"groups {groups} must divide in_channels {in_channels} and out_channels {out_channels}")


def convolution_cost(
    in_channels: int,
    out_channels: int,
    kernel_sizes: Sequence[int],
    output_sizes: Sequence[int],
    *,
    groups: int = 1,
    bias: bool = True,
) -> Cost:
    """Return the cost of a convolution: `C_out · (C_in / groups) · ΠK` weights, each used once per output position.

    The notes' worked example, ten 5x5 filters on 3x32x32 with padding 2: 760 parameters, 768,000 MACs.

    >>> convolution_cost(3, 10, (5, 5), (32, 32))
    Cost(weights=750, biases=10, macs=768000)
    >>> convolution_cost(3, 96, (11, 11), (55, 55)).parameters
    34944
    """
    require_groups(in_channels, out_channels, groups)
    weights = out_channels * (in_channels // groups) * prod(kernel_sizes)
    return Cost(weights, out_channels if bias else 0, weights * prod(output_sizes))


def transposed_convolution_cost(
    in_channels: int,
    out_channels: int,
    kernel_sizes: Sequence[int],
    input_sizes: Sequence[int],
    *,
    groups: int = 1,
    bias: bool = True,
) -> Cost:
    """Return the cost of a transposed convolution: each weight is used once per *input* position.

    Products that land in cut-away padding are counted, as an implementation computes them.

    >>> transposed_convolution_cost(3, 1, (2, 2), (2, 2)).macs
    48
    """
    require_groups(in_channels, out_channels, groups)
    weights = in_channels * (out_channels // groups) * prod(kernel_sizes)
    return Cost(weights, out_channels if bias else 0, weights * prod(input_sizes))


def linear_cost(in_features: int, out_features: int, *, bias: bool = True) -> Cost:
    """Return the cost of a fully connected layer: every output weighs every input.

    AlexNet's first one, and the notes' 100 units on a 224x224 RGB image:

    >>> linear_cost(9216, 4096).parameters
    37752832
    >>> linear_cost(3 * 224 * 224, 100).parameters
    15052900
    """
    weights = in_features * out_features
    return Cost(weights, out_features if bias else 0, weights)


def bilinear_macs(rows: int, first: int, second: int, units: int) -> int:
    """Return the MACs of a bilinear layer: each unit's weights times the first input, and the result times the second.

    >>> bilinear_macs(1, 3, 4, 5)
    80
    """
    return rows * units * second * (first + 1)


def matmul_macs(batch: int, rows: int, inner: int, columns: int) -> int:
    """Return the MACs of `batch` products of a (rows, inner) with an (inner, columns) matrix.

    >>> matmul_macs(2, 3, 4, 5)
    120
    """
    return batch * rows * inner * columns
