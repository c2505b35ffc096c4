"""MNIST's IDX files (LeCun, Cortes and Burges, "The MNIST database"): `train-images-idx3-ubyte`, plain or gzipped.

A file is four bytes of type and number of axes, the axes as big-endian 32-bit integers, then the bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from convscope.data.listing import Listing, identity_of
from convscope.data.records import Labels, Pixels
from convscope.data.sources.arrays import ArrayBlock, ArrayReader, found_file
from convscope.errors import DataError
from convscope.files.regular import read_gzip, read_start, refused_as
from convscope.report.units import plural

_NAME = re.compile(r"(?P<set>.*-)?(?P<split>train|t10k|test)-(?P<what>images|labels)[-.]idx[13]-ubyte(\.gz)?")
_UBYTE = 0x08
# A byte of deflate grows to 1,032 at the most (zlib's technical notes).
_DEFLATE_RATIO = 1032
TRANSPOSED = (
    "EMNIST's files hold each image transposed, and are read as they are: transpose other images, to predict them"
)
# The names and labels of all of them must fit into memory.
MOST_IMAGES = 20_000_000


def find_idx(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the IDX files in a folder by (split, "images" or "labels"); empty if there are none."""
    found: dict[tuple[str, str], Path] = {}
    sets = set()
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match:
            sets.add(match["set"] or "")
            # Plain sorts before gzipped, and is the one to take.
            found.setdefault(("train" if match["split"] == "train" else "test", match["what"]), path)
    if len(sets) > 1:
        names = ", ".join(sorted(name.rstrip("-") or "(no name)" for name in sets))
        raise DataError(f"{folder} holds the IDX files of several sets ({names}): give each a folder of its own")
    return found


def list_idx(source: str, found: dict[tuple[str, str], Path], *, to_learn: bool = True) -> Listing:
    """Return the listing of IDX files; raises DataError if they don't match, or have only one class to learn."""
    if ("train", "images") not in found:
        raise DataError(f"{source} has IDX files but no train-images-idx3-ubyte (or .gz)")
    parts: dict[str, int] = {}
    blocks: list[ArrayBlock] = []
    digits: list[Labels] = []
    names: list[str] = []
    sizes = set()
    for split in ("train", "test"):
        path = found.get((split, "images"))
        if path is None:
            continue
        if (split, "labels") not in found:
            raise DataError(f"{path} has no labels: {path.name.replace('images-idx3', 'labels-idx1')} is missing")
        shape = _read_shape(path, axes=3)
        labels_path = found[split, "labels"]
        (count,) = _read_shape(labels_path, axes=1)
        if count != shape[0]:
            raise DataError(
                f"{path} holds {plural(shape[0], 'image')}, but {labels_path.name} {plural(count, 'label')}"
            )
        if 0 in shape:
            raise DataError(f"{path} holds no images")
        if count > MOST_IMAGES:
            raise DataError(f"{path} states {count:,} images: at most {MOST_IMAGES:,} are read")
        labels = _read(labels_path, (count,)).astype(np.int64)
        sizes.add(shape[1:])
        parts[split] = shape[0]
        digits.append(labels)
        blocks.append(ArrayBlock(shape[0], _loader(path, shape)))
        names.extend(f"{path}#{row}" for row in range(shape[0]))
    if len(sizes) > 1:
        raise DataError(f"{source}: the training and test images differ in size: {' and '.join(map(str, sizes))}")
    (height, width) = sizes.pop()
    values = np.unique(digits[0])
    if to_learn and len(values) == 1:
        raise DataError(f"{source} has one class only, {values[0]}: a classifier needs two or more")
    strangers = sorted(set(np.concatenate(digits).tolist()) - set(values.tolist()))
    if strangers:
        raise DataError(f"{source}: test holds labels that train does not: {', '.join(map(str, strangers[:5]))}")
    return Listing(
        source=source,
        kind="idx",
        classes=tuple(str(value) for value in values),
        parts=parts,
        labels=np.searchsorted(values, np.concatenate(digits)).astype(np.int64),
        names=names,
        read=ArrayReader(blocks),
        identity=identity_of(source, (found_file(path) for path in found.values())),
        image_size=(height, width),
        channels=1,
        notes=(TRANSPOSED,) if any(path.name.startswith("emnist") for path in found.values()) else (),
    )


def _loader(path: Path, shape: tuple[int, ...]) -> Callable[[], Pixels]:
    return lambda: _read(path, shape).reshape(*shape, 1)


def _read_shape(path: Path, *, axes: int) -> tuple[int, ...]:
    """Return the axes stated in a file, checked against its type and its size."""
    header = 4 + 4 * axes
    start = _read_bytes(path, header)
    if len(start) < header or start[:4] != bytes((0, 0, _UBYTE, axes)):
        raise DataError(f"{path} is not an IDX file of bytes with {axes} axes")
    shape = tuple(int(side) for side in np.frombuffer(start, ">u4", offset=4))
    ratio = _DEFLATE_RATIO if path.suffix == ".gz" else 1
    if math.prod(shape) > path.stat().st_size * ratio:
        raise DataError(
            f"{path} is cut short: it states {'x'.join(map(str, shape))} bytes, more than the file can hold"
        )
    return shape


def _read(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Return the bytes after the header, in their shape; raises DataError if there are too few or too many."""
    header, count = 4 + 4 * len(shape), math.prod(shape)
    data = _read_bytes(path, header + count + 1)
    if len(data) != header + count:
        state = "is cut short" if len(data) < header + count else "is longer than its header says"
        raise DataError(f"{path} {state}: {count} bytes are needed after the header; fetch it again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_bytes(path: Path, count: int) -> bytes:
    """Read at most `count` bytes from the start of a file, unzipped."""
    with refused_as(DataError, path):
        return read_gzip(path, count) if path.suffix == ".gz" else read_start(path, count)
