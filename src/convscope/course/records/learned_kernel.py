"""A kernel that gradient descent finds from images and their maps, step by step, by the NumPy reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.course.record import WidgetRecord
from convscope.course.records.images import KERNELS
from convscope.reference.convolution import convolve, convolve_backward
from convscope.reference.optimizer import SGD

STEPS = 200
CLOSE = 0.05  # how far each weight may be from the target at the end
IMAGES, _SIDE = 32, 10
_LEARNING_RATE = 0.05
TARGETS = ("vertical", "horizontal", "sobel", "diagonal", "blur", "identity")


def learn_kernel(target: Array, *, seed: int = 0, steps: int = STEPS) -> tuple[list[Array], list[float]]:
    """Return the kernel `(3, 3)` and the loss before each step of gradient descent and after the last.

    The images are noise, their maps those of the target; the first kernel is random.

    Args:
        target: the kernel `(3, 3)` that made the maps.
        seed: of the images and of the first kernel.
        steps: of gradient descent, each on all images.

    >>> kernels, losses = learn_kernel(KERNELS["sobel"])
    >>> bool(abs(kernels[-1] - KERNELS["sobel"]).max() < CLOSE), losses[0] > losses[-1]
    (True, True)
    """
    generator = np.random.default_rng(seed)
    images = generator.standard_normal((IMAGES, 1, _SIDE, _SIDE))
    wanted = convolve(images, target[None, None])
    kernel = generator.standard_normal((1, 1, 3, 3)) / 3
    optimizer = SGD(learning_rate=_LEARNING_RATE)
    kernels, losses = [], []
    for _ in range(steps + 1):
        error = convolve(images, kernel) - wanted
        kernels.append(kernel[0, 0].copy())
        losses.append(float((error**2).mean()))
        _, gradient, _ = convolve_backward(error / error.size, images, kernel)  # of half the loss
        optimizer.step([kernel], [gradient])
    return kernels, losses


def _learned_kernel(target: str, seed: str) -> dict[str, Any]:
    wanted = KERNELS[target]
    kernels, losses = learn_kernel(wanted, seed=int(seed))
    return {
        "target": wanted.astype(int).tolist(),
        "kernels": [np.round(kernel, 3).tolist() for kernel in kernels],
        "losses": [float(f"{loss:.4g}") for loss in losses],
        "off": [round(float(abs(kernel - wanted).max()), 4) for kernel in kernels],
        "close": CLOSE,
    }


RECORDS: Mapping[str, WidgetRecord] = {
    "learned-kernel": WidgetRecord(make=_learned_kernel, choices={"target": TARGETS, "seed": ("0", "1", "2")})
}
