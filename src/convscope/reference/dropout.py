"""Dropout: in training, units are left out at random, so that none can rely on another.

Source: Srivastava et al. (2014); Krizhevsky et al. (2012), section 4.2. Ours is the inverted form: what is kept is
scaled up in training, so that evaluation does nothing at all (AlexNet halved the outputs in evaluation instead).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.arrays import Array
from convscope.errors import GeometryError


def dropout_mask(shape: Sequence[int], *, rate: float, generator: np.random.Generator) -> Array:
    """Return a mask: 0 for a dropped unit, `1 / (1 - rate)` for one that is kept.

    Raises:
        GeometryError: a rate outside 0 <= rate < 1.

    >>> dropout_mask((6,), rate=0.5, generator=np.random.default_rng(0))
    array([2., 0., 0., 0., 2., 2.])
    """
    if not 0 <= rate < 1:
        raise GeometryError(f"the dropout rate must be at least 0 and less than 1, got {rate}")
    return (generator.random(tuple(shape)) >= rate) / (1 - rate)


def dropout(x: Array, mask: Array) -> Array:
    """Return the input with some units left out: `x · mask`."""
    result: Array = x * mask.astype(x.dtype)
    return result


def dropout_backward(grad_output: Array, mask: Array) -> Array:
    """Return the gradient of `dropout` for the input: nothing through a unit that was left out."""
    result: Array = grad_output * mask.astype(grad_output.dtype)
    return result
