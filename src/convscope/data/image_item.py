"""One image as a user has it, and what decodes it: the one place that turns any form of an image into pixels.

A path, an image file's bytes, a binary file object, a PIL image, a NumPy array, a tensor, or a built-in digit by its
name, "digits/7".
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data.pixels.decode import decode_content, decode_file, decode_pillow, fit, from_array
from convscope.data.pixels.numbers import as_pixels, is_numbers, numbers_of
from convscope.data.records import Decoding, Pixels
from convscope.files.regular import FILE_LIMIT, UnreadableError, explain_os_error, size_in_words

if TYPE_CHECKING:
    from PIL import Image

FORMS = "a path, bytes, a file object, a PIL image, an array or a tensor"
_DIGIT = re.compile(r"digits/(\d{1,9})")


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image: its path or another name, and what decodes it or raises UnreadableError with the reason."""

    name: str
    decode: Callable[[Decoding], Pixels]


def image_item(given: Any, name: str = "the image") -> ImageItem:
    """Return one image in any of its forms; `name` is for one that has none of its own.

    What can't be used raises nothing here: it is an item whose decoding fails.

    >>> image_item("digits/7").decode(Decoding(size=(8, 8), channels=1)).shape
    (8, 8, 1)
    """
    if isinstance(given, ImageItem):
        return given
    if is_digit(given):
        return _of_digit(os.fspath(given))
    if isinstance(given, (str, os.PathLike)):
        path = os.fsdecode(given)
        return ImageItem(path, lambda decoding: decode_file(path, decoding).pixels)
    if isinstance(given, (bytes, bytearray, memoryview)):
        return _of_bytes(name, bytes(given))
    if hasattr(given, "read"):
        return _of_file_object(given, name)
    if is_numbers(given):
        return _of_numbers(given, name)
    if is_pillow(given):
        return _of_pillow(given, str(getattr(given, "filename", "") or name))
    return unusable(name, f"a {type(given).__name__}: give {FORMS}")


def unusable(name: str, reason: str) -> ImageItem:
    """Return an item whose decoding raises UnreadableError with a reason."""

    def decode(_: Decoding) -> Pixels:
        raise UnreadableError(reason)

    return ImageItem(name, decode)


def is_digit(given: Any) -> bool:
    """Return whether this is the name of a built-in digit, and no file of that name is there."""
    is_name = isinstance(given, (str, os.PathLike)) and _DIGIT.fullmatch(os.fsdecode(given)) is not None
    return is_name and not os.path.lexists(given)


def is_pillow(given: Any) -> bool:
    """Return whether this is a PIL image; Pillow is not imported for it."""
    return "PIL.Image" in sys.modules and isinstance(given, sys.modules["PIL.Image"].Image)


def read_object(file: Any) -> bytes:
    """Return the rest of a binary file object; raises UnreadableError, whatever the object's own error is."""
    try:
        data = file.read(FILE_LIMIT + 1)
    except Exception as error:  # a member of an archive has errors of its own: zipfile's, gzip's, a network's
        raise UnreadableError(explain_os_error(error) if isinstance(error, OSError) else _in_words(error)) from None
    if not isinstance(data, bytes):
        raise UnreadableError("a file that is open as text: open it with mode 'rb'")
    if len(data) > FILE_LIMIT:
        raise UnreadableError(f"larger than {size_in_words(FILE_LIMIT)}, the limit")
    return data


def name_of_object(file: Any, otherwise: str) -> str:
    """Return a file object's own name, where it has one that is text."""
    own = getattr(file, "name", None)
    return own if isinstance(own, str) else otherwise


def _of_digit(name: str) -> ImageItem:
    from convscope.data.sources.digits import COUNT, load_digits

    row = int(name.rpartition("/")[2])
    if row >= COUNT:
        return unusable(name, f"the built-in digits are digits/0 to digits/{COUNT - 1}")
    return ImageItem(name, lambda decoding: fit(from_array(load_digits()[0][row]), decoding))


def _of_bytes(name: str, data: bytes) -> ImageItem:
    return ImageItem(name, lambda decoding: decode_content(data, decoding).pixels)


def _of_file_object(file: Any, name: str) -> ImageItem:
    """Read here and not by the thread that decodes: several objects may share one position in one file."""
    name = name_of_object(file, name)
    try:
        return _of_bytes(name, read_object(file))
    except UnreadableError as reason:
        return unusable(name, str(reason))


def _of_numbers(given: Any, name: str) -> ImageItem:
    try:
        # A copy: a camera's buffer holds another picture by the time that the batch is full.
        numbers = numbers_of(given).copy()
    except UnreadableError as reason:
        return unusable(name, str(reason))
    return ImageItem(name, lambda decoding: fit_pixels(as_pixels(numbers, decoding.value_range), decoding))


def fit_pixels(pixels: Pixels, decoding: Decoding) -> Pixels:
    """Return pixels (H, W, C), C 1, 3 or 4 (with alpha), as the decoding states."""
    return pixels if pixels.shape == decoding.image_shape else decode_pillow(as_pillow(pixels), decoding)[0]


def as_pillow(pixels: Pixels) -> Image.Image:
    """Return pixels (H, W, C) as a PIL image: grey, colour, or colour with alpha."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def _of_pillow(image: Any, name: str) -> ImageItem:
    """Copy an image here, which loads it: two threads must not load one at once, and its owner may change it."""
    if not all(image.size):
        return unusable(name, "an empty image, {}x{}: it has no pixels".format(*image.size))
    try:
        copied = image.copy()
    except Exception as error:  # whatever a decoder raises, its meaning is that the image can't be read
        return unusable(name, _in_words(error))
    copied.format = image.format  # says what its modes mean
    return ImageItem(name, lambda decoding: decode_pillow(copied, decoding)[0])


def _in_words(error: Exception) -> str:
    """Return an error's message in one line, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
