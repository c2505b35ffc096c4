"""What is given to be predicted, as single images, each to be decoded when it is its turn.

One image in any form that `data/image_item` takes, a folder (everything below it), a glob pattern, or an iterable of
any of them. What can't be used raises nothing here: it is an item whose decoding fails.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from convscope.data.image_item import ImageItem, image_item, is_digit, is_pillow, unusable
from convscope.data.pixels.numbers import is_numbers
from convscope.data.shards.shard_names import find_shards, names_shards
from convscope.data.sources.walk import Walk
from convscope.report.usage import Placeholder, call_text


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
    if is_numbers(given):
        return bool(given.ndim <= 3)
    single = isinstance(given, (str, os.PathLike, bytes, bytearray, memoryview, ImageItem)) or is_pillow(given)
    # Other libraries' arrays are iterable too, along their first axis, and so is a file, line by line.
    return single or hasattr(given, "read") or hasattr(given, "shape") or not isinstance(given, Iterable)


def _items_of(given: Any, number: int) -> Iterator[ImageItem]:
    if isinstance(given, (str, os.PathLike)) and not is_digit(given):
        yield from _files(os.fsdecode(given))
    else:
        yield image_item(given, f"image {number}")


def _files(text: str) -> Iterator[ImageItem]:
    """Return every file that a path, a folder or a pattern names; a folder's in the order of their names."""
    if Path(text).is_dir():
        walk = Walk()
        found = walk.collect(text)
        walk.follow_links()
        yield from (unusable(problem.path, problem.reason) for problem in walk.problems)
        if not found and find_shards(text):
            yield _of_shards(text)
        elif not found and not walk.problems:
            yield unusable(text, "there are no images below this folder")
        yield from map(image_item, sorted(file.path for file in found))
    elif names_shards(text):
        yield _of_shards(text)
    elif glob.has_magic(text) and not os.path.lexists(text):
        matched = _matches(text)
        yield from map(image_item, matched) if matched else [unusable(text, "no file matches this pattern")]
    else:
        yield image_item(text)


def _of_shards(text: str) -> ImageItem:
    measure = call_text("evaluate", Placeholder("RUN"), text)
    return unusable(
        text,
        "it holds its images in shards (.tar), and predict takes image files or folders of them; "
        f"to measure a run on labelled shards: {measure}",
    )


def _matches(pattern: str) -> list[str]:
    """Return the files that a glob pattern names, in the order of their names."""
    anchor = Path(pattern).anchor
    return sorted(str(path) for path in Path(anchor).glob(pattern.removeprefix(anchor)) if not path.is_dir())
