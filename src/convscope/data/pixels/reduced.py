"""To which part of its sides libjpeg decodes a large JPEG, and where its pixels then lie; without Pillow.

libjpeg transforms 4x4, 2x2 or 1 coefficient of each block of 8x8 instead of all, and has a quarter, a sixteenth or a
64th of the pixels to convert; reading the coefficients (Huffman) remains. simplejpeg and Pillow both call it.
"""

from __future__ import annotations

from typing import NamedTuple

from convscope.data.pixels.resize import crop_box, letterbox_size
from convscope.data.records import SIDES_KEPT, Decoding, ResizeMode

# EXIF orientations that turn an image on its side.
_ON_ITS_SIDE = 5
# Whether the upright image begins at the file's end, across and down.
_FROM_THE_END = {
    2: (True, False),
    3: (True, True),
    4: (False, True),
    6: (True, False),
    7: (True, True),
    8: (False, True),
}


def reduction(image_size: tuple[int, int], target_size: tuple[int, int], mode: ResizeMode) -> int:
    """Return 1, 2, 4 or 8: the part of its sides to which a JPEG is decoded before it is resized to the target.

    It is the largest for which what is resized keeps, along both axes, three times the sides that it is resized to.
    Sizes are (width, height) of the upright image. This is rule 1 of `Decoding.jpeg_reduction`: another number for
    any sizes is another rule, which runs that have this one do not follow.

    >>> reduction((4000, 3000), (224, 224), "crop"), reduction((640, 480), (224, 224), "crop")
    (4, 1)
    """
    (width, height), goal = image_size, target_size
    if mode == "crop":
        left, top, right, bottom = crop_box(image_size, target_size)
        width, height = right - left, bottom - top
    elif mode == "letterbox":
        goal = letterbox_size(image_size, target_size)
    kept = min(width // goal[0], height // goal[1]) // SIDES_KEPT
    return next((factor for factor in (8, 4, 2) if kept >= factor), 1)


def reduction_of(size: tuple[int, int], orientation: int, decoding: Decoding) -> int:
    """Return the same for a JPEG of this size (width, height) as stored, by the decoding's rule."""
    if max(size) < decoding.reduced_from:
        return 1
    return reduction(upright_size(size, orientation), decoding.size[::-1], decoding.resize_mode)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the size (width, height) of an image that is turned upright, from its size as stored.

    >>> upright_size((4032, 3024), 6)
    (3024, 4032)
    """
    return size[::-1] if orientation >= _ON_ITS_SIDE else size


class Reduced(NamedTuple):
    """A JPEG decoded at a part of its sides, which are `size` (width, height) upright and in full.

    Each of its pixels is a square of `factor` x `factor` full ones; those at the right and the bottom of the file go
    beyond its edge. `origin` is where the upright image begins: not at 0 where it begins at the file's end.
    """

    factor: int
    size: tuple[int, int]
    origin: tuple[float, float]

    @classmethod
    def of(cls, size: tuple[int, int], orientation: int, factor: int) -> Reduced | None:
        """Return the geometry of a JPEG of this size as stored, decoded and turned upright; None at its full size."""
        if factor == 1:
            return None
        upright = upright_size(size, orientation)
        across, down = ((-side % factor) / factor for side in upright)
        at_right, at_bottom = _FROM_THE_END.get(orientation, (False, False))
        return cls(factor, upright, (across * at_right, down * at_bottom))

    def box(self, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        """Return a box of full pixels in reduced ones, exactly: eighths are binary fractions."""
        (x, y), (left, top, right, bottom) = self.origin, (edge / self.factor for edge in box)
        return x + left, y + top, x + right, y + bottom
