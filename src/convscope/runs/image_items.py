"""What is given to be predicted, as single images, each to be decoded when it is its turn.

One image in any form that `data/image_item` takes, a folder (everything below it), a glob pattern, or an iterable of
any of them. What can't be used raises nothing here: it is an item whose decoding fails.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Any

from convscope.data.image_item import ImageItem, image_item, is_digit, is_pillow, unusable
from convscope.data.pixels.numbers import is_numbers
from convscope.data.shards.shard_names import find_shards, names_shards
from convscope.data.sources.walk import Walk, folders_around, is_hidden
from convscope.files.regular import explain_os_error
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
    if os.path.isdir(text):  # noqa: PTH112 - of what can be no name, such as an image as text, a Path raises
        walk = Walk(around=folders_around(text))
        found = walk.collect(text)
        walk.follow_links()
        yield from (unusable(problem.path, problem.reason) for problem in walk.problems)
        if not found and not walk.problems:
            yield _of_shards(text) if find_shards(text) else unusable(text, "there are no images below this folder")
        # Of links to one image each name is listed, though it is one image of a data set.
        yield from map(image_item, sorted([*(file.path for file in found), *walk.linked_again]))
    elif names_shards(text):
        yield _of_shards(text)
    elif glob.has_magic(text) and not os.path.lexists(text):
        yield from _matching(text)
    else:
        yield image_item(text)


def _of_shards(text: str) -> ImageItem:
    measure = call_text("evaluate", Placeholder("RUN"), text)
    return unusable(
        text,
        "it holds its images in shards (.tar), and predict takes image files or folders of them; "
        f"to measure a run on labelled shards: {measure}",
    )


def _matching(pattern: str) -> Iterator[ImageItem]:
    """Return the files that a glob pattern names, in the order of their names; hidden ones where it names such.

    A file in a hidden folder is hidden too, as it is below a folder that is given; pathlib's `**` enters such folders.
    """
    anchor, hidden = Path(pattern).anchor, [part for part in Path(pattern).parts if is_hidden(part)]
    if any("**" in part and part != "**" for part in Path(pattern).parts):
        yield unusable(pattern, "no pattern: ** is the whole of a folder's name, as in 'photos/**/*.jpg'")
        return
    try:
        paths = [path for path in Path(anchor).glob(pattern[len(anchor) :].lstrip("/")) if not path.is_dir()]
    except OSError as error:  # a folder's name that is too long
        yield unusable(pattern, explain_os_error(error))
        return
    names = sorted(
        str(path)
        for path in paths
        if all(not is_hidden(part) or any(fnmatchcase(part, named) for named in hidden) for part in path.parts)
    )
    yield from map(image_item, names) if names else [unusable(pattern, "no file matches this pattern")]
