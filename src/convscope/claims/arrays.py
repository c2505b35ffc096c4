"""Experiments on small arrays for the proofs of the notes' claims, by `convscope.reference`, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convscope.arrays import Array
from convscope.claims.claim import ClaimValue
from convscope.reference.convolution import convolve, convolve_backward, true_convolve
from convscope.reference.edges import BRIGHT_LEFT, VERTICAL, edge_map
from convscope.reference.pooling import max_pool

NO_WHOLE_NUMBER = "no whole number"
SPOT = np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]])


def grid(values: Array) -> list[object]:
    """Return a map as nested lists, with integers for whole numbers."""
    found: list[object] = values.astype(int).tolist() if (values == values.astype(int)).all() else values.tolist()
    return found


def whole(value: float | Array) -> int:
    """Return a whole number as an integer."""
    assert float(value).is_integer()
    return int(value)


def windows_of(image_size: int, kernel: int, padding: int, row: int) -> int:
    """Return the number of windows that read pixel (row, row) of a square image: the gradient of a sum of ones."""
    x, ones = np.zeros((1, 1, image_size, image_size)), np.ones((1, 1, kernel, kernel))
    output = convolve(x, ones, padding=padding)
    grad_x, _, _ = convolve_backward(np.ones_like(output), x, ones, padding=padding)
    return whole(grad_x[0, 0, row, row])


def fields_of_filters(filters: int) -> int:
    """Return the number of different receptive fields of several 5x5 filters at one position, by their gradients."""
    x, weight = np.ones((1, 3, 32, 32)), np.ones((filters, 3, 5, 5))
    output = convolve(x, weight)
    supports = set()
    for channel in range(filters):
        grad = np.zeros_like(output)
        grad[0, channel, 10, 10] = 1
        supports.add((convolve_backward(grad, x, weight)[0] != 0).tobytes())
    return len(supports)


def cells_moved(layer: Callable[[Array], Array], pixels: int) -> ClaimValue:
    """Return the shift of a layer's map, in cells, if its image is shifted by some pixels, away from the borders."""
    image = np.random.default_rng(0).standard_normal((1, 1, 24, 24))
    before, after = layer(image), layer(np.roll(image, pixels, axis=3))
    for cells in range(4):
        if np.allclose(np.roll(before, cells, axis=3)[..., 4:-4], after[..., 4:-4]):
            return cells
    return NO_WHOLE_NUMBER


def convolved(stride: int) -> Callable[[Array], Array]:
    """Return a 3x3 convolution with a random kernel and this stride."""
    kernel = np.random.default_rng(1).standard_normal((1, 1, 3, 3))
    return lambda image: convolve(image, kernel, stride=stride)


def pooled(image: Array) -> Array:
    """Return the 2x2 max pooling of an image, stride 2."""
    return max_pool(image, 2)


def answers_to_a_turned_edge() -> list[object]:
    """Return the vertical-edge kernel's largest output on the image of an edge, and on the image turned by 90°."""
    return [whole(np.abs(edge_map(image, VERTICAL)).max()) for image in (BRIGHT_LEFT, np.rot90(BRIGHT_LEFT))]


def answers_to_a_larger_spot() -> list[object]:
    """Return a spot detector's largest output, pooled 2x2, on a bright pixel and on a spot three times as large."""
    image = np.zeros((5, 5))
    image[2, 2] = 10
    larger = np.kron(image, np.ones((3, 3)))
    return [whole(pooled(np.maximum(edge_map(x, SPOT), 0)[None, None]).max()) for x in (image, larger)]


def difference_of_orders() -> int:
    """Return the largest difference between f * g and g * f, in whole numbers."""
    numbers = np.random.default_rng(0)
    f, g = (numbers.integers(-9, 10, (1, 1, 6)).astype(float) for _ in range(2))
    one, other = (true_convolve(a, b, padding=5) for a, b in ((f, g), (g, f)))
    return whole(np.abs(one - other).max())


def slaps_felt(at: int) -> int:
    """Return the number of slaps, one every 5 seconds, up to a second: the notes' sum with a weight of 1 for all."""
    blows = np.array([1.0 if second and second % 5 == 0 else 0.0 for second in range(at + 1)])
    felt = true_convolve(blows[None, None], np.ones((1, 1, at + 1)), padding=((at, 0),))
    return whole(felt[0, 0, at])


def first_output_changed(second: int, ahead: int) -> int:
    """Return the first second whose output an impulse changes, under a flipped kernel reaching `ahead` seconds on."""
    impulse = np.zeros((1, 1, 30))
    impulse[0, 0, second] = 1
    output = true_convolve(impulse, np.ones((1, 1, 3)), padding=((2 - ahead, ahead),))
    return int(np.flatnonzero(output[0, 0])[0])
