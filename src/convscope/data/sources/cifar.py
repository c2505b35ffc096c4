"""CIFAR-10 and CIFAR-100, binary version (Krizhevsky 2009): a label byte or two, then 3x32x32 bytes, record by record.

The Python version is pickled, and a pickle can run any code when it is loaded: it is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.listing import Listing, identity_of
from convscope.data.records import Pixels
from convscope.data.sources.arrays import ArrayBlock, ArrayReader, found_file
from convscope.errors import DataError
from convscope.files.regular import refused_as, require_regular
from convscope.files.text import read_text

SIZE = (32, 32)
# Bytes of the file of class names.
LARGEST_NAMES = 2**16
_PIXELS = 3 * 32 * 32
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, kw_only=True)
class Version:
    """The layout of one of the two; the last label byte of a record is the class."""

    kind: str
    label_bytes: int
    class_count: int
    names_file: str
    train: tuple[str, ...]
    test: str


VERSIONS = (
    Version(
        kind="cifar10",
        label_bytes=1,
        class_count=10,
        names_file="batches.meta.txt",
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
    ),
    Version(
        kind="cifar100",
        label_bytes=2,
        class_count=100,
        names_file="fine_label_names.txt",
        train=("train.bin",),
        test="test.bin",
    ),
)


def find_cifar(folder: Path) -> Version | None:
    """Return the binary version in a folder, or None; raises DataError for the pickled one."""
    for version in VERSIONS:
        if any(_is_there(folder / name) for name in (*version.train, version.test)):
            return version
    pickled = (folder / "data_batch_1").is_file() or all(
        (folder / name).is_file() for name in ("meta", "train", "test")
    )
    if pickled:
        raise DataError(
            f"{folder} holds CIFAR's Python version, whose pickle files could run any code: "
            "give the binary version (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz), unpacked"
        )
    return None


def list_cifar(source: str, version: Version) -> Listing:
    """Return the listing of CIFAR's binary files; raises DataError if they are not whole."""
    folder = Path(source)
    training = [folder / name for name in version.train if _is_there(folder / name)]
    if not training:
        raise DataError(f"{source} has {version.test} but no {version.train[0]}")
    notes = []
    if len(training) < len(version.train):
        notes.append(f"{len(training)} of the {len(version.train)} training files are there")
    test = folder / version.test
    files = training + ([test] if _is_there(test) else [])
    records = [_records(path, version) for path in files]
    labels = np.concatenate([table[:, version.label_bytes - 1] for table in records]).astype(np.int64)
    if labels.max() >= version.class_count:
        raise DataError(f"{source} has a label of {labels.max()}, but {version.kind} has {version.class_count} classes")
    parts = {"train": sum(len(table) for table in records[: len(training)])}
    if _is_there(test):
        parts["test"] = len(records[-1])
    return Listing(
        source=source,
        kind=version.kind,
        classes=_class_names(folder, version),
        parts=parts,
        labels=labels,
        names=[f"{path}#{row}" for path, table in zip(files, records, strict=True) for row in range(len(table))],
        read=ArrayReader([ArrayBlock(len(table), _loader(table, version)) for table in records]),
        identity=identity_of(source, (found_file(path) for path in files)),
        image_size=SIZE,
        channels=3,
        notes=tuple(notes),
    )


def _records(path: Path, version: Version) -> Pixels:
    """Map the records of a file, (N, label bytes + 3072)."""
    length = version.label_bytes + _PIXELS
    with refused_as(DataError, path):
        size = require_regular(path)
    if not size or size % length:
        raise DataError(f"{path} is cut short or not of {version.kind}: {size} bytes are no multiple of {length}")
    return np.memmap(path, np.uint8, mode="r").reshape(-1, length)


def _loader(table: Pixels, version: Version) -> Callable[[], Pixels]:
    # Planes of red, green and blue become pixels.
    return lambda: np.ascontiguousarray(table[:, version.label_bytes :].reshape(-1, 3, *SIZE).transpose(0, 2, 3, 1))


def _class_names(folder: Path, version: Version) -> tuple[str, ...]:
    path = folder / version.names_file
    if os.path.lexists(path):
        with refused_as(DataError, path):
            names = tuple(read_text(path, limit=LARGEST_NAMES).split())
        if len(names) == version.class_count and len(set(names)) == len(names):
            return names
    if version.kind == "cifar10":
        return CIFAR10_CLASSES
    return tuple(f"class {number:02d}" for number in range(version.class_count))


def _is_there(path: Path) -> bool:
    """Return whether a path exists and is no folder; other kinds of files are refused when they are read."""
    return os.path.lexists(path) and not path.is_dir()
