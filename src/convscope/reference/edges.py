"""Edge detection as a first lesson: designed kernels, and one that is learned by gradient descent.

The designed ones are common in first courses; the 6x6 images are the lecture notes' own.

Source: Sobel and Feldman (1968); Scharr (2000); LeCun et al. (1998) for learning them instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convscope.arrays import Array
from convscope.reference.convolution import convolve, convolve_backward
from convscope.reference.optimizer import SGD

NUMBERS: Array = np.array([
    [3, 0, 1, 2, 7, 4],
    [1, 5, 8, 9, 3, 1],
    [2, 7, 2, 5, 1, 3],
    [0, 1, 3, 1, 7, 8],
    [4, 2, 1, 6, 2, 8],
    [2, 4, 5, 2, 3, 9],
], dtype=np.float64)  # fmt: skip
BRIGHT_LEFT: Array = np.repeat([[10.0, 10, 10, 0, 0, 0]], 6, axis=0)
DARK_LEFT: Array = BRIGHT_LEFT[:, ::-1].copy()
CORNERS: Array = np.block([[np.full((3, 3), 10.0), np.zeros((3, 3))], [np.zeros((3, 3)), np.full((3, 3), 10.0)]])

VERTICAL: Array = np.array([[1.0, 0, -1]] * 3)
HORIZONTAL: Array = VERTICAL.T.copy()
SOBEL: Array = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
SCHARR: Array = np.array([[3.0, 0, -3], [10, 0, -10], [3, 0, -3]])
KERNELS: Mapping[str, Array] = {
    "vertical": VERTICAL,
    "horizontal": HORIZONTAL,
    "Sobel": SOBEL,
    "Scharr": SCHARR,
}


def edge_map(image: Array, kernel: Array) -> Array:
    """Return one image `(H, W)` under one kernel `(h, w)`, no padding, stride 1.

    >>> edge_map(DARK_LEFT, VERTICAL)[0]
    array([  0., -30., -30.,   0.])
    >>> edge_map(CORNERS, HORIZONTAL)[1]
    array([ 30.,  10., -10., -30.])
    """
    found: Array = convolve(image[None, None], kernel[None, None])[0, 0]
    return found


@dataclass(frozen=True)
class Snapshot:
    """The kernel after a number of steps.

    Args:
        step: steps taken so far.
        kernel: `(3, 3)`.
        loss: mean squared error of the maps.
        cosine: of the angle to the vertical-edge kernel; 1 is the same up to its size.
    """

    step: int
    kernel: Array
    loss: float
    cosine: float


def cosine_similarity(kernel: Array, other: Array = VERTICAL) -> float:
    """Return the cosine of the angle between two kernels: 1 the same pattern, 0 nothing in common, -1 its negative.

    >>> cosine_similarity(5 * VERTICAL), cosine_similarity(HORIZONTAL), round(cosine_similarity(SOBEL), 2)
    (1.0, 0.0, 0.94)
    """
    return float((kernel * other).sum() / np.sqrt((kernel**2).sum() * (other**2).sum()).item())


def edge_images(count: int, *, size: int = 12, noise: float = 0.05, seed: int = 0) -> tuple[Array, Array]:
    """Return noisy images with one edge each, vertical or horizontal, and the maps of a vertical-edge detector.

    No kernel is used: a map is the edge's height at the two positions where a 3x3 window lies over a vertical
    edge, and 0 everywhere else, horizontal edges included.

    Returns:
        Images `(count, 1, size, size)` and maps `(count, 1, size - 2, size - 2)`.
    """
    generator = np.random.default_rng(seed)
    images, maps = np.zeros((count, 1, size, size)), np.zeros((count, 1, size - 2, size - 2))
    for image, wanted in zip(images[:, 0], maps[:, 0], strict=True):
        edge, (before, after) = int(generator.integers(2, size - 1)), generator.uniform(0, 1, 2)
        if generator.random() < 0.5:
            image[:, :edge], image[:, edge:] = before, after
            wanted[:, edge - 2 : edge] = before - after
        else:
            image[:edge], image[edge:] = before, after
    return images + noise * generator.standard_normal(images.shape), maps


def learn_vertical_edges(*, steps: int = 300, learning_rate: float = 0.4, seed: int = 0) -> list[Snapshot]:
    """Train a random kernel by gradient descent until it detects vertical edges.

    Args:
        steps: steps of gradient descent with momentum, each on the same 64 images.
        learning_rate: of the descent.
        seed: of the images and the first kernel.

    Returns:
        The kernel at steps 0, 1, 3, 10, 30, ..., and at the last.

    >>> learned = learn_vertical_edges()
    >>> abs(learned[0].cosine) < 0.6 < 0.99 < learned[-1].cosine
    True
    """
    images, wanted = edge_images(64, seed=seed)
    kernel = np.random.default_rng(seed + 1).standard_normal((1, 1, 3, 3)) / 3
    optimizer = SGD(learning_rate=learning_rate, momentum=0.9)
    marks = {0, steps, *(n for power in range(6) for n in (10**power, 3 * 10**power) if n < steps)}
    snapshots = []
    for step in range(steps + 1):
        error = convolve(images, kernel) - wanted
        if step in marks:
            shown = kernel[0, 0].copy()
            snapshots.append(Snapshot(step, shown, float((error**2).mean()), cosine_similarity(shown)))
        _, gradient, _ = convolve_backward(2 * error / error.size, images, kernel)
        optimizer.step([kernel], [gradient])
    return snapshots
