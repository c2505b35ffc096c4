"""The built-in digits: 1,797 real handwritten digits of 8x8 pixels, in `digits.npz`.

The test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
1998), as scikit-learn has it: the count of ink, 0 to 16, in each 4x4 block of a 32x32 bitmap.
"""

from __future__ import annotations

import io
import pkgutil

import numpy as np

from convscope.data.listing import WHOLE, Listing
from convscope.data.records import Labels, Pixels
from convscope.data.sources.arrays import ArrayBlock, ArrayReader

ALWAYS_DIGITS = "built-in:digits"  # names the digits also where a folder is called digits
CLASSES = tuple(str(digit) for digit in range(10))
COUNT = 1797
SIZE = (8, 8)


def load_digits() -> tuple[Pixels, Labels]:
    """Return the images, uint8 (1797, 8, 8, 1) with ink in white, and their labels, int64 (1797,)."""
    content = pkgutil.get_data(__package__, "digits.npz")
    assert content is not None
    with np.load(io.BytesIO(content)) as arrays:
        # The sixteen levels of ink (0 to 16) become 0 to 255.
        pixels = np.rint(arrays["images"][..., None] * (255 / 16)).astype(np.uint8)
        return pixels, arrays["labels"].astype(np.int64)


def list_digits() -> Listing:
    """Return the listing of the digits, which is cut into splits and needs no cache."""
    pixels, labels = load_digits()
    return Listing(
        source="digits",
        kind="digits",
        classes=CLASSES,
        parts={WHOLE: COUNT},
        labels=labels,
        names=[f"digits/{row}" for row in range(COUNT)],
        read=ArrayReader([ArrayBlock(COUNT, lambda: pixels)]),
        identity=None,
        image_size=SIZE,
        channels=1,
    )
