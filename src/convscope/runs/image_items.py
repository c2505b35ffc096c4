"""What is given to be predicted, as single images, each to be decoded when it is its turn.

A path, a folder (everything below it), a glob pattern, an image file's bytes, a binary file object, a PIL image, a
NumPy array, or an iterable of any of them. What can't be used raises nothing here: it is an item whose decoding fails.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.pixels.decode import decode_content, decode_file, decode_pillow
from convscope.data.records import Decoding, Pixels
from convscope.data.shards.shard_names import find_shards, names_shards
from convscope.data.sources.walk import Walk
from convscope.files.regular import FILE_LIMIT, UnreadableError, explain_os_error, size_in_words
from convscope.report.printable import shell_quote


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image: its path or another name, and what decodes it or raises UnreadableError with the reason."""

    name: str
    decode: Callable[[Decoding], Pixels]


def image_items(given: Any) -> Iterator[ImageItem]:
    """Return each image of what was given, in order, a folder's by name; an iterable is read only as far as needed.

    What has no name of its own is "image 1", "image 2" and so on by its place.

    >>> [item.name for item in image_items([b"GIF89a", "cat.jpg"])]
    ['image 1', 'cat.jpg']
    """
    numbers = count(1)
    if _is_one(given):
        yield from _items_of(given, next(numbers))
    else:
        for item in given:
            yield from _items_of(item, next(numbers))


def _is_one(given: Any) -> bool:
    if isinstance(given, np.ndarray):
        return given.ndim <= 3
    single = isinstance(given, (str, os.PathLike, bytes, bytearray, memoryview, ImageItem))
    # Other libraries' arrays are iterable too, along their first axis, and so is a file, line by line.
    return single or hasattr(given, "read") or hasattr(given, "shape") or not isinstance(given, Iterable)


def _items_of(given: Any, number: int) -> Iterator[ImageItem]:
    name = f"image {number}"
    if isinstance(given, ImageItem):
        yield given
    elif isinstance(given, (str, os.PathLike)):
        yield from _files(os.fsdecode(given))
    elif isinstance(given, (bytes, bytearray, memoryview)):
        yield _of_bytes(name, bytes(given))
    elif hasattr(given, "read"):
        yield _of_file_object(given, name)
    elif isinstance(given, np.ndarray):
        yield _of_array(given, name)
    elif "PIL.Image" in sys.modules and isinstance(given, sys.modules["PIL.Image"].Image):
        yield _of_pillow(given, getattr(given, "filename", "") or name)
    else:
        yield _unusable(name, f"a {type(given).__name__}: give a path, bytes, a file object, a PIL image or an array")


def _unusable(name: str, reason: str) -> ImageItem:
    def decode(_: Decoding) -> Pixels:
        raise UnreadableError(reason)

    return ImageItem(name, decode)


def _of_bytes(name: str, data: bytes) -> ImageItem:
    return ImageItem(name, lambda decoding: decode_content(data, decoding).pixels)


def _of_file_object(file: Any, name: str) -> ImageItem:
    """Read here and not by the thread that decodes: several objects may share one position in one file."""
    own = getattr(file, "name", None)
    name = own if isinstance(own, str) else name
    try:
        data = file.read(FILE_LIMIT + 1)
    except Exception as error:  # a member of an archive has errors of its own: zipfile's, gzip's, a network's
        return _unusable(name, explain_os_error(error) if isinstance(error, OSError) else _in_words(error))
    if not isinstance(data, bytes):
        return _unusable(name, "a file that is open as text: open it with mode 'rb'")
    if len(data) > FILE_LIMIT:
        return _unusable(name, f"larger than {size_in_words(FILE_LIMIT)}, the limit")
    return _of_bytes(name, data)


def _of_array(array: np.ndarray[Any, Any], name: str) -> ImageItem:
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not array.size:
        return _unusable(name, f"an empty array {array.shape}: it has no pixels")
    if array.dtype != np.uint8 or not fits:
        return _unusable(name, f"an array of {array.dtype} {array.shape}: give uint8 (H, W) or (H, W, C), C 1, 3 or 4")
    # A copy: a camera's buffer holds another picture by the time that the batch is full.
    pixels = array.copy()

    def decode(decoding: Decoding) -> Pixels:
        from PIL import Image

        flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        return decode_pillow(Image.fromarray(flat), decoding)

    return ImageItem(name, decode)


def _of_pillow(image: Any, name: str) -> ImageItem:
    """Copy an image here, which loads it: two threads must not load one at once, and its owner may change it."""
    if not all(image.size):
        return _unusable(str(name), "an empty image, {}x{}: it has no pixels".format(*image.size))
    try:
        copied = image.copy()
    except Exception as error:  # whatever a decoder raises, its meaning is that the image can't be read
        return _unusable(str(name), _in_words(error))
    copied.format = image.format  # says what its modes mean
    return ImageItem(str(name), lambda decoding: decode_pillow(copied, decoding))


def _in_words(error: Exception) -> str:
    """Return an error's message in one line, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _files(text: str) -> Iterator[ImageItem]:
    """Return every file that a path, a folder or a pattern names; a folder's in the order of their names."""
    if Path(text).is_dir():
        walk = Walk()
        found = walk.collect(text)
        walk.follow_links()
        yield from (_unusable(problem.path, problem.reason) for problem in walk.problems)
        if not found and find_shards(text):
            yield _of_shards(text)
        elif not found and not walk.problems:
            yield _unusable(text, "there are no images below this folder")
        yield from map(_of_path, sorted(file.path for file in found))
    elif names_shards(text):
        yield _of_shards(text)
    elif glob.has_magic(text) and not os.path.lexists(text):
        matched = _matches(text)
        yield from map(_of_path, matched) if matched else [_unusable(text, "no file matches this pattern")]
    else:
        yield _of_path(text)


def _of_path(path: str) -> ImageItem:
    return ImageItem(path, lambda decoding: decode_file(path, decoding).pixels)


def _of_shards(text: str) -> ImageItem:
    measure = shell_quote("convscope", "evaluate", "RUN", text)
    return _unusable(
        text,
        "it holds its images in shards (.tar), and predict takes image files or folders of them; "
        f"to measure a run on labelled shards: {measure}",
    )


def _matches(pattern: str) -> list[str]:
    """Return the files that a glob pattern names, in the order of their names."""
    anchor = Path(pattern).anchor
    return sorted(str(path) for path in Path(anchor).glob(pattern.removeprefix(anchor)) if not path.is_dir())
