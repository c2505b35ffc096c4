"""Images that the caller holds, as a data source: arrays, tensors, lists, a map-style torch `Dataset`, or paths.

What is given is one of these, or a dict of them by split:

    (images, labels)              images as one array (N, H, W), (N, H, W, C) or (N, C, H, W), or a list of single ones
    [(image, label), ...]         pairs; where every image is a path, the files are read as those of a table are
    a Dataset                     its items are (image, label); read one at a time, never by two threads at once

Each may have groups besides, of which no split parts one: (images, labels, groups), (image, label, group).
Nothing of it can be found again by a name, so the source is "memory:" and a digest of the pixels and labels, which a
run keeps, and by which it knows them when they are given again.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from convscope.api.torch_state import changes_undone
from convscope.data.image_item import is_pillow
from convscope.data.layout import SPLITS
from convscope.data.listing import WHOLE, Listing, identity_of, in_groups_source, memory_source
from convscope.data.memory.groups import read_given_groups
from convscope.data.memory.held import Held, HeldReader, Seen, as_held, look_at, typical_of_seen
from convscope.data.memory.labels import GivenLabels, read_given_labels
from convscope.data.pixels.flatten import EIGHT_BITS
from convscope.data.pixels.numbers import as_levels, channels_last, is_numbers, numbers_of
from convscope.data.records import Pixels
from convscope.data.sources.arrays import found_file
from convscope.data.sources.measure import FileReader, typical_image
from convscope.data.value_range import AUTO
from convscope.errors import DataError
from convscope.files.regular import UnreadableError, explain_os_error
from convscope.report.units import plural

KIND = "memory"
# Groups may follow the labels in each.
FORMS = "(images, labels), a list of (image, label), a torch Dataset, or a dict of these by train, val and test"

# What `train` takes besides a path: as above. A list and a tuple differ, and PyTorch's classes are not imported for it.
InMemory: TypeAlias = Any


@dataclass(frozen=True)
class _GivenSplit:
    """The images of one split: how many, what reads one, and their labels as given.

    Args:
        count: of images.
        read: returns one image.
        labels: as given; those of a dataset are known once its items have been read.
        groups: as given, or None.
        paths: of image files, where every image is one.
        item: reads an item of a dataset: image, label, and group or None.
        eight_bits: how many are arrays of uint8, which a range of values leaves as they are.
    """

    count: int
    read: Callable[[int], Held]
    labels: Any = None
    groups: Any = None
    paths: tuple[str, ...] | None = None
    item: Callable[[int], tuple[Held, Any, Any]] | None = None
    eight_bits: int = 0


def list_memory(
    given: InMemory,
    *,
    classes: Sequence[str] | None = None,
    to_learn: bool = True,
    earlier: tuple[str, ...] = (),
    value_range: str = AUTO,
) -> Listing:
    """Return the listing of images that the caller holds; each is read once, for its digest.

    Args:
        given: as the module says.
        classes: the names of the classes: of labels 0, 1, ..., or of the columns of 0 and 1. Where there are none, a
            label names its class by itself.
        to_learn: whether it must hold what a training needs.
        earlier: the classes of a run: where it was trained with names, labels that are numbers are places among them.
        value_range: which values of arrays are black and white, where they are not uint8.

    Raises:
        DataError: another form; images or labels that can't be used or don't fit together.
    """
    parts = {name: _part(one, name, value_range) for name, one in _by_split(given, to_learn=to_learn).items()}
    digest = hashlib.sha256()
    seen: list[Seen] = []
    raw, in_groups = {}, {}
    for name, part in parts.items():
        raw[name], in_groups[name] = part.labels, part.groups
        if part.item is not None:
            kept: list[tuple[Any, Any]] = []
            seen += look_at(_images_of(part.count, part.item, kept), digest)
            raw[name] = [label for label, _ in kept]
            in_groups[name] = None if all(group is None for _, group in kept) else [group for _, group in kept]
        elif part.paths is None:
            seen += look_at(map(part.read, range(part.count)), digest)
    counts = {name: part.count for name, part in parts.items()}
    labels = read_given_labels(raw, counts, classes=classes, to_learn=to_learn, earlier=earlier)
    groups = read_given_groups(in_groups, counts)
    digest.update(repr((counts, labels.classes)).encode() + labels.labels.tobytes())
    digest.update(b"" if labels.targets is None else labels.targets.tobytes())
    of_files = len(seen) < sum(counts.values())
    listing = _of_files(parts, labels, digest) if of_files else _of_images(parts, labels, seen, digest)
    eight_bits = 0 if value_range == AUTO else sum(part.eight_bits for part in parts.values())
    if eight_bits:
        listing = replace(listing, notes=(*listing.notes, f"{plural(eight_bits, 'image')}: {EIGHT_BITS}"))
    return (
        listing if groups is None else replace(listing, source=in_groups_source(listing.source, groups), groups=groups)
    )


def _images_of(count: int, item: Callable[[int], tuple[Held, Any, Any]], kept: list[tuple[Any, Any]]) -> Iterator[Held]:
    """Yield the images of a dataset, and add the label and the group of each to the list."""
    for row in range(count):
        image, label, group = item(row)
        kept.append((label, group))
        yield image


def _of_images(
    parts: Mapping[str, _GivenSplit], labels: GivenLabels, seen: list[Seen], digest: hashlib._Hash
) -> Listing:
    """Return the listing of images in memory, or of a dataset's, which is decoded into the cache as files are."""
    firsts = np.cumsum([0, *(part.count for part in parts.values())])
    readers = [part.read for part in parts.values()]

    def read(row: int) -> Held:
        place = int(np.searchsorted(firsts, row, side="right")) - 1
        return readers[place](row - int(firsts[place]))

    dataset = any(part.item is not None for part in parts.values())
    size, channels = typical_of_seen(seen)
    return Listing(
        source=memory_source(digest.hexdigest()),
        kind=KIND,
        classes=labels.classes,
        parts={name: part.count for name, part in parts.items()},
        labels=labels.labels,
        names=[f"{'images' if name == WHOLE else name}/{row}" for name, p in parts.items() for row in range(p.count)],
        read=HeldReader(read, seen, alone=dataset),
        identity=digest.hexdigest() if dataset else None,
        image_size=size,
        channels=channels,
        targets=labels.targets,
    )


def _of_files(parts: Mapping[str, _GivenSplit], labels: GivenLabels, digest: hashlib._Hash) -> Listing:
    """Return the listing of image files with labels; raises DataError for one that is not there."""
    if not all(part.paths is not None for part in parts.values()):
        raise DataError("paths of images in one split and images in another: give paths in all, or images in all")
    paths = [path for part in parts.values() for path in part.paths or ()]
    files = []
    for path in paths:
        try:
            files.append(found_file(Path(path).absolute()))
        except OSError as error:
            raise DataError(f"{path}: {explain_os_error(error)}") from None
    identity = identity_of(os.sep, files)
    digest.update(identity.encode())
    size, channels = typical_image(paths)
    return Listing(
        source=memory_source(digest.hexdigest()),
        kind=KIND,
        classes=labels.classes,
        parts={name: part.count for name, part in parts.items()},
        labels=labels.labels,
        names=paths,
        read=FileReader(paths),
        identity=identity,
        image_size=size,
        channels=channels,
        targets=labels.targets,
    )


def _by_split(given: InMemory, *, to_learn: bool) -> Mapping[str, Any]:
    """Return what was given by its split, in order; raises DataError for other keys."""
    if not isinstance(given, Mapping):
        return {WHOLE: given}
    strangers = [key for key in given if key not in SPLITS]
    if strangers or not given or (to_learn and "train" not in given):
        if {"images", "target"} <= set(given):
            raise DataError("a bunch of scikit-learn: give (bunch.images / bunch.images.max(), bunch.target)")
        there = ", ".join(map(str, given)) or "none"
        raise DataError(f"a dict of splits has the keys train, val and test, or some of them with train; got {there}")
    return {name: given[name] for name in SPLITS if name in given}


def _part(given: Any, name: str, value_range: str) -> _GivenSplit:
    """Return the images of a split with their labels; raises DataError."""
    if isinstance(given, tuple):
        if len(given) not in (2, 3):
            raise DataError(f"{_of(name)}a tuple of {len(given)}: give (images, labels) or (images, labels, groups)")
        return replace(_of_pair(given[0], given[1], name, value_range), groups=given[2] if len(given) == 3 else None)
    if isinstance(given, list):
        sizes = {len(item) if isinstance(item, (tuple, list)) else 0 for item in given}
        if len(sizes) > 1 or not sizes <= {2, 3}:
            raise DataError(f"{_of(name)}a list whose items are not all (image, label), or all (image, label, group)")
        part = _of_pair([item[0] for item in given], [item[1] for item in given], name, value_range)
        return replace(part, groups=[item[2] for item in given] if sizes == {3} else None)
    if _is_map_style(given):
        return _of_dataset(given, name, value_range)
    raise DataError(f"{_of(name)}data of type {type(given).__name__}{_instead(given)}")


def _is_map_style(given: Any) -> bool:
    """Return whether this has items by number and a length; an IterableDataset inherits the first from Dataset."""
    torch_data = sys.modules.get("torch.utils.data")
    if isinstance(given, (str, bytes, Mapping)) or hasattr(given, "shape"):
        return False
    iterable = torch_data is not None and isinstance(given, torch_data.IterableDataset)
    return not iterable and hasattr(given, "__getitem__") and hasattr(given, "__len__")


def _instead(given: Any) -> str:
    """Return what to give in place of something that is no data."""
    if hasattr(given, "column_names"):  # a Dataset of Hugging Face's
        return ": give its columns, such as (data['image'], data['label'])"
    if hasattr(given, "dataset"):  # a DataLoader
        return ": give its dataset, loader.dataset; batches are made here"
    if hasattr(given, "__iter__") and not hasattr(given, "shape") and not isinstance(given, (bytes, bytearray, set)):
        return ", which has no length and no order of its own: give a list of its items, or write shards of them"
    if is_numbers(given):
        return " without labels: give (images, labels)"
    return f": give a path, or {FORMS}"


def _of(name: str) -> str:
    return "" if name == WHOLE else f"{name}: "


def _of_pair(images: Any, labels: Any, name: str, value_range: str) -> _GivenSplit:
    """Return images with their labels, as an array or one by one."""
    if is_numbers(images):
        pixels = _levels(images, name, value_range)
        return _GivenSplit(len(pixels), lambda row: pixels[row], labels, eight_bits=len(pixels) * _is_8_bits(images))
    if isinstance(images, (str, bytes, os.PathLike)) or is_pillow(images) or not hasattr(images, "__len__"):
        raise DataError(
            f"{_of(name)}images of type {type(images).__name__}: give an array (N, H, W, C) or a list of them"
        )
    items = list(images)
    if items and all(isinstance(item, (str, os.PathLike)) for item in items):
        paths = tuple(os.fsdecode(item) for item in items)
        return _GivenSplit(len(items), lambda row: _no_pixels(), labels, paths=paths)
    return _GivenSplit(
        len(items),
        lambda row: as_held(items[row], f"{_of(name)}image {row}", value_range),
        labels,
        eight_bits=sum(map(_is_8_bits, items)),
    )


def _is_8_bits(given: Any) -> bool:
    """Return whether these are numbers of 8 bits, or a PIL image that is held as such."""
    if is_pillow(given):
        return given.mode in ("L", "RGB")
    return is_numbers(given) and str(given.dtype).endswith("uint8")


def _no_pixels() -> Held:
    raise AssertionError("the images of paths are read as files")


def _levels(images: Any, name: str, value_range: str) -> Pixels:
    """Return an array of images as uint8 (N, H, W, C); raises DataError."""
    try:
        array = numbers_of(images)
        if array.ndim not in (3, 4):
            raise UnreadableError(
                f"an array of {array.dtype} {array.shape}: give (N, H, W), (N, H, W, C) or (N, C, H, W)"
            )
        many = array[:, :, :, None] if array.ndim == 3 and array.size else channels_last(array)
        if value_range == AUTO or many.dtype == np.uint8:
            return as_levels(many)
        levels = np.empty(many.shape, np.uint8)
        for row, one in enumerate(many):  # each image has its own least and greatest
            try:
                levels[row] = as_levels(one, value_range)
            except UnreadableError as reason:
                raise DataError(f"{_of(name)}image {row}: {reason}") from None
        return levels
    except UnreadableError as reason:
        raise DataError(f"{_of(name)}images: {reason}") from None


def _of_dataset(dataset: Any, name: str, value_range: str) -> _GivenSplit:
    """Return the items of a map-style Dataset, each with its label."""

    def item(row: int) -> tuple[Held, Any, Any]:
        image, label, group = _item(dataset, row, name)
        return as_held(image, f"{_of(name)}the image of item {row}", value_range), label, group

    return _GivenSplit(_length(dataset, name), lambda row: item(row)[0], item=item)


def _length(dataset: Any, name: str) -> int:
    try:
        return len(dataset)
    except Exception as error:  # whatever a user's __len__ raises, in one line
        raise DataError(f"{_of(name)}a {type(dataset).__name__} without a length: {error}") from error


def _item(dataset: Any, row: int, name: str) -> tuple[Any, Any, Any]:
    try:
        with changes_undone():
            item = dataset[row]
    except Exception as error:  # whatever a user's __getitem__ raises, in one line
        reason = " ".join(str(error).split())
        raise DataError(f"{_of(name)}item {row} can't be read: {type(error).__name__}: {reason}") from error
    if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
        raise DataError(
            f"{_of(name)}item {row} of the dataset is a {type(item).__name__}: it must be (image, label), or "
            "(image, label, group)"
        )
    return item[0], item[1], item[2] if len(item) == 3 else None
