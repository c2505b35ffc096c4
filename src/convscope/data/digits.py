"""The built-in digits: 1,797 real handwritten digits of 8x8 pixels that come with scikit-learn (UCI, 1998)."""

from __future__ import annotations

import numpy as np

from convscope.data.records import Labels, Pixels

CLASSES = tuple(str(digit) for digit in range(10))
COUNT = 1797
SIZE = (8, 8)


def load_digits() -> tuple[Pixels, Labels]:
    """The images, uint8 (1797, 8, 8, 1) with ink in white, and their labels, int64 (1797,)."""
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    # The sixteen levels of ink (0 to 16) become 0 to 255.
    pixels = np.rint(images.reshape(COUNT, *SIZE, 1) * (255 / 16)).astype(np.uint8)
    return pixels, labels.astype(np.int64)
