"""Records of a data set: images with labels, problems found, and how they were decoded.

Images are uint8, shape (N, H, W, C), C being 1 (grey) or 3 (red, green, blue).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, cast, get_args, overload

import numpy as np
import numpy.typing as npt

from convscope.data.value_range import AUTO, ValueRange
from convscope.errors import DataError, did_you_mean
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]
# uint8 (N, classes): 1 where an image shows a class. Only multi-label data has them.
Targets: TypeAlias = npt.NDArray[np.uint8]
ResizeMode: TypeAlias = Literal["crop", "letterbox", "squash"]

WHITE = (255, 255, 255)
LARGEST_SIDE = 8192
# Megapixels of an image: the usual limit, and the largest, at which Pillow itself refuses an image.
MEGAPIXELS, MOST_MEGAPIXELS = 50, 178
# The rule by which a large JPEG is decoded at a reduced size (`pixels/reduced`); 0: at its full size, always.
JPEG_REDUCTION = 1
# The sides after a reduced decoding are at least this many times those that it is then resized to.
SIDES_KEPT = 3
# Stands for the label of an image that has a row of targets instead: as an index it fits no class.
SEVERAL = -1


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How an image file is decoded to pixels; a model needs the same settings for every image.

    `size` is (height, width). `resize_mode`: "crop" scales the image to cover the size and crops the centre;
    "letterbox" scales it to fit and fills the rest with `background`; "squash" ignores its aspect ratio. Transparent
    pixels are blended with `background` (red, green, blue). `value_range` says which values of a 16-bit or
    floating-point image are black and white, as `value_range.ValueRange` reads it. An image of more than
    `max_megapixels` is refused. `jpeg_reduction` is the version of the rule for large JPEGs: 0, for runs made before
    there was one, decodes them at their full size.

    >>> Decoding(size=(32, 32), channels=1).image_shape
    (32, 32, 1)
    """

    size: tuple[int, int]
    channels: int = 3
    resize_mode: ResizeMode = "crop"
    background: tuple[int, int, int] = WHITE
    value_range: str = AUTO
    max_megapixels: int = MEGAPIXELS
    jpeg_reduction: int = JPEG_REDUCTION

    def __post_init__(self) -> None:
        if len(self.size) != 2 or not all(1 <= side <= LARGEST_SIDE for side in self.size):
            raise DataError(f"image size {self.size} is not (height, width) with sides of 1 to {LARGEST_SIDE} pixels")
        if self.channels not in (1, 3):
            raise DataError(f"{self.channels} channels: images are decoded to 1 (grey) or 3 (red, green, blue)")
        if self.resize_mode not in get_args(ResizeMode):
            modes = get_args(ResizeMode)
            near = did_you_mean(self.resize_mode, modes)
            raise DataError(f"resize mode {self.resize_mode!r} is not one of {', '.join(modes)}.{near}")
        if len(self.background) != 3 or not all(0 <= level <= 255 for level in self.background):
            raise DataError(f"background {self.background} is not three levels (red, green, blue) of 0 to 255")
        object.__setattr__(self, "value_range", str(ValueRange.parse(self.value_range)))
        if not 1 <= self.max_megapixels <= MOST_MEGAPIXELS:
            raise DataError(f"max_megapixels is {self.max_megapixels}: it is 1 to {MOST_MEGAPIXELS}")
        if self.jpeg_reduction not in range(JPEG_REDUCTION + 1):
            raise DataError(f"jpeg_reduction is {self.jpeg_reduction}: this version knows 0 to {JPEG_REDUCTION}")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of one decoded image: (H, W, C)."""
        return (*self.size, self.channels)

    @functools.cached_property
    def reduced_from(self) -> float:
        """The longer side from which on a JPEG may be decoded at a reduced size; most images are shorter."""
        return 2 * SIDES_KEPT * min(self.size) if self.jpeg_reduction else math.inf

    @functools.cached_property
    def pixel_limit(self) -> int:
        """The most pixels of an image that is decoded."""
        return self.max_megapixels * 10**6

    def limited(self, max_megapixels: int | None = None) -> Decoding:
        """Return the decoding with the limit of whoever reads images now: the one given, or the usual one at most.

        >>> kept = Decoding(size=(32, 32), max_megapixels=178)
        >>> kept.limited().max_megapixels, kept.limited(80).max_megapixels
        (50, 80)
        """
        return replace(self, max_megapixels=max_megapixels or min(self.max_megapixels, MEGAPIXELS))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {
            "size": list(self.size),
            "channels": self.channels,
            "resize_mode": self.resize_mode,
            "background": list(self.background),
            "value_range": self.value_range,
            "max_megapixels": self.max_megapixels,
            "jpeg_reduction": self.jpeg_reduction,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Decoding:
        """Return the settings that `to_dict` wrote; raises UnreadableError where one is missing or out of range.

        What runs did not keep once has the value of that time.
        """
        size = fields.integers("size", at_least=1, at_most=LARGEST_SIDE)
        background = fields.integers("background", at_least=0, at_most=255)
        try:
            return cls(
                size=cast(tuple[int, int], size),
                channels=fields.integer("channels"),
                resize_mode=cast(ResizeMode, fields.text("resize_mode", one_of=get_args(ResizeMode))),
                background=cast(tuple[int, int, int], background),
                value_range=fields.text("value_range", default=AUTO),
                max_megapixels=fields.integer("max_megapixels") if "max_megapixels" in fields else MEGAPIXELS,
                jpeg_reduction=fields.integer("jpeg_reduction") if "jpeg_reduction" in fields else 0,
            )
        except DataError as error:
            raise UnreadableError(f"{fields.place}{error}") from None


class LazyImages(Protocol):
    """A substitute for an array of pixels that decodes them when they are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (N, H, W, C)."""
        ...

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Always uint8."""
        ...

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice | npt.NDArray[Any] | Sequence[int]) -> Pixels: ...
    def part(self, rows: slice) -> LazyImages:
        """Return some of the rows without reading them."""
        ...


class Rows:
    """Some rows of an image array, in any order, read when indexed.

    It is `base[rows]` without the copy, so a split of a large memory-mapped cache costs nothing.

    >>> base = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    >>> view = Rows(base, np.array([2, 0]))
    >>> view.shape, int(view[0][0, 0, 0])
    ((2, 2, 2, 1), 8)
    """

    def __init__(self, base: Pixels, rows: Labels) -> None:
        self.base = base
        self.rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (N, H, W, C)."""
        return (len(self.rows), *self.base.shape[1:])

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Always uint8."""
        return self.base.dtype

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice | npt.NDArray[Any] | Sequence[int]) -> Pixels: ...
    def __getitem__(self, index: Any) -> Pixels:
        """Return one image (H, W, C) for an integer; a copy (n, H, W, C) for a slice or an array of indices."""
        picked: Pixels = self.base[self.rows[index]]
        return picked

    def part(self, rows: slice) -> Rows:
        """Return some of the rows, without a copy."""
        return Rows(self.base, self.rows[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self.base[self.rows]
        return whole if dtype is None else whole.astype(dtype, copy=False)


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels and names, row by row.

    `images` has shape (N, H, W, C), uint8: an array, a memory map, `Rows` of one, or images that are decoded when they
    are read; all take an index, a slice or an array of indices. `labels` index the dataset's `classes`. A name is
    the file's path, or like "digits/123".
    For multi-label data `targets` (N, classes) holds 0 and 1, and every label is SEVERAL. `groups` names the group of
    each row that no split parts, where there are some.
    """

    images: Pixels | LazyImages
    labels: Labels
    names: Sequence[str]
    targets: Targets | None = None
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        assert len(self.images) == len(self.labels) == len(self.names)
        assert self.images.dtype == np.uint8 and len(self.images.shape) == 4
        assert self.targets is None or (self.targets.dtype == np.uint8 and len(self.targets) == len(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def answers(self) -> Labels | Targets:
        """The targets of training: labels (N,), or for multi-label data (N, classes)."""
        return self.labels if self.targets is None else self.targets

    def part(self, rows: slice) -> ImageSet:
        """Return some of the rows, without reading or copying an image."""
        images = self.images
        of_rows = images[rows] if isinstance(images, np.ndarray) else images.part(rows)
        targets = None if self.targets is None else self.targets[rows]
        groups = None if self.groups is None else self.groups[rows]
        return ImageSet(of_rows, self.labels[rows], self.names[rows], targets, groups)

    def spaced(self, most: int) -> ImageSet:
        """Return `most` images or fewer, evenly spaced, since a set may be sorted by class; none is read or copied.

        >>> images = ImageSet(np.zeros((10, 4, 4, 1), np.uint8), np.arange(10), [""] * 10)
        >>> images.spaced(4).labels.tolist(), len(images.spaced(20))
        ([0, 3, 6, 9], 10)
        """
        return self.part(slice(0, None, max(1, -(-len(self) // most))))


def spaced_rows(count: int, most: int) -> Labels:
    """Return `most` of the rows 0 to count - 1, or all if they are fewer: evenly spaced, the first and last included.

    >>> spaced_rows(10, 4).tolist(), spaced_rows(2, 4).tolist(), spaced_rows(0, 4).tolist()
    ([0, 3, 6, 9], [0, 1], [])
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


@dataclass(frozen=True)
class Problem:
    """An image that was skipped: its path, ready to print, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Leak:
    """Two images in different splits whose decoded pixels are the same."""

    first: str
    first_split: str
    second: str
    second_split: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set read from one source.

    `problems` are the images that were skipped; `notes` are sentences for the user (a class that a split lacks, files
    that were not read as images, how a split was made), and `notes_on_training` those that concern training only.
    """

    source: str
    kind: str
    classes: tuple[str, ...]
    decoding: Decoding
    train: ImageSet | None
    val: ImageSet | None
    test: ImageSet | None
    problems: tuple[Problem, ...] = ()
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()
    notes_on_training: tuple[str, ...] = ()
    # Splits that were cut out in memory here, rather than found on the disk.
    made_splits: tuple[str, ...] = ()
    cache_hit: bool = False
    cache_path: str | None = None

    @property
    def splits(self) -> dict[str, ImageSet]:
        """The existing splits by name, in the order train, val, test."""
        found = {"train": self.train, "val": self.val, "test": self.test}
        return {name: images for name, images in found.items() if images is not None}

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return any(images.targets is not None for images in self.splits.values())

    @property
    def counts(self) -> dict[str, int]:
        """The number of images of each existing split."""
        return {name: len(images) for name, images in self.splits.items()}

    def class_counts(self, split: str) -> dict[str, int]:
        """Return the number of images of each class in a split, zeros included."""
        images = self.splits[split]
        if images.targets is not None:
            counts = images.targets.sum(0, dtype=np.int64)
        else:
            counts = np.bincount(images.labels, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}
