"""Write any source that can be trained on as shards: the images' own bytes, shuffled, split after split.

The folder is written under a temporary name and then renamed, and nothing is overwritten. The same source, seed and
size give the same bytes: members have no owner and no date.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.api.warning_filters import warnings_ignored
from convscope.data.listing import Listing
from convscope.data.pixels.decode import decode_bytes
from convscope.data.pixels.sniff import advised, format_of
from convscope.data.records import MEGAPIXELS, Decoding, Problem
from convscope.data.shards.shard_labels import CARD, GROUP
from convscope.data.shards.shard_names import ENDING
from convscope.data.shards.tar_index import BLOCK
from convscope.data.sources.walk import IMAGE_ENDINGS
from convscope.data.value_range import AUTO
from convscope.errors import DataError
from convscope.files.regular import UnreadableError
from convscope.report.document import Callout, Document, Paragraph
from convscope.report.documented import Documented
from convscope.report.progress import Progress, no_progress
from convscope.report.table import Column, Table
from convscope.report.units import byte_size, exact, plural
from convscope.report.usage import call_text

FORMAT = 1
SHARD_BYTES = 256 * 10**6
SMALLEST_SHARD = tarfile.RECORDSIZE
LONGEST_STEM = 48
SHOWN_PROBLEMS = 3
# Images that are read and looked at together, ahead of being written: fewer where so many of their size are too large.
AHEAD, AHEAD_BYTES = 256, 256 * 2**20
# Decoding at any size shows whether an image can be read.
LOOK_SIZE = (8, 8)


@dataclass(frozen=True, kw_only=True)
class Written:
    """One split as it was written."""

    split: str
    shards: int
    images: int
    size: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Sharded(Documented):
    """The shards written: the folder, its splits, the images that could not be read and were skipped, and notes."""

    folder: Path
    splits: tuple[Written, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    def headline(self) -> str:
        """Return how many shards there are, and where."""
        return f"{plural(sum(split.shards for split in self.splits), 'shard')} in {self.folder}"

    def to_dict(self) -> dict[str, Any]:
        """Return what was written as JSON's types.

        Keys:
            folder: the new folder.
            splits: of each its name, shards, images and bytes.
            problems: images that were left out, each with the reason.
            notes: remarks on the source.
        """
        return {
            "folder": str(self.folder),
            "splits": [asdict(split) for split in self.splits],
            "problems": [{"image": str(problem.path), "reason": problem.reason} for problem in self.problems],
            "notes": list(self.notes),
        }

    def document(self) -> Document:
        """Return what is shown: shards, images and bytes of each split, and what was left out."""
        columns = [Column("split"), *(Column(name, numeric=True) for name in ("shards", "images", "size"))]
        rows = [(split.split, exact(split.shards), exact(split.images), byte_size(split.size)) for split in self.splits]
        left_out = [f"left out: {problem.path}: {problem.reason}" for problem in self.problems[:SHOWN_PROBLEMS]]
        if len(self.problems) > SHOWN_PROBLEMS:
            left_out.append(f"left out: {plural(len(self.problems) - SHOWN_PROBLEMS, 'more image')}")
        go_on = Paragraph(f"to train on them: {call_text('train', self.folder)}")
        return Document(
            f"Shards in {self.folder}",
            (Table.of(columns, rows),),
            summary=(
                *(Callout("note", note) for note in self.notes),
                *(Callout("warning", line) for line in left_out),
                go_on,
            ),
            footer="Made by convscope shard.",
        )


def write_shards(
    listing: Listing,
    folder: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    shard_images: int | None = None,
    seed: int = 0,
    value_range: str = AUTO,
    max_megapixels: int = MEGAPIXELS,
    progress: Progress = no_progress,
) -> Sharded:
    """Write every image of a source into shards of limited bytes and images (a large image has a shard of its own).

    Images are left out that a training with this range of values and this limit can't read.

    Raises:
        DataError: the folder is there already, or can't be written; shards smaller than any archive, or of no image.
    """
    if shard_bytes < SMALLEST_SHARD:
        smallest = byte_size(SMALLEST_SHARD)
        raise DataError(f"shards of {byte_size(shard_bytes)}: no archive is smaller than {smallest}, give that or more")
    if shard_images is not None and shard_images < 1:
        raise DataError(f"{shard_images} images a shard: give 1 or more")
    if os.path.lexists(folder):
        raise DataError(f"{folder} is there already, and is never overwritten: give another name")
    if listing.kind != "digits" and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(listing.source)):
        raise DataError(f"{folder} lies in the source itself: give a folder outside of it")
    look = Decoding(size=LOOK_SIZE, value_range=value_range, max_megapixels=max_megapixels)
    beside = folder.with_name(f".new-{folder.name}-{os.getpid()}")
    problems = list(listing.problems)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        splits, done = [], 0
        for number, split in enumerate(listing.parts):
            rows = np.random.default_rng([seed, number]).permutation(listing.rows_of(split))
            writer = _Writer(beside, split, shard_bytes, shard_images)
            for row, content, ending in _contents(listing, rows.tolist(), look, problems):
                writer.add(listing, row, content, ending)
                done += 1
                if done % AHEAD == 0:
                    progress(done, len(listing.names), "writing shards")
            splits.append(writer.finish())
        progress(len(listing.names), len(listing.names), "writing shards")
        if not done:
            first = problems[0]
            raise DataError(f"none of the images can be read; the first is {first.path}: {first.reason}")
        _write_through(beside / CARD, _card(listing, splits))
        beside.rename(folder)
    except OSError as error:
        raise DataError(f"{folder} can't be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Sharded(folder=folder, splits=tuple(splits), problems=tuple(problems), notes=tuple(listing.notes))


def _contents(
    listing: Listing, rows: list[int], decoding: Decoding, problems: list[Problem]
) -> Iterator[tuple[int, bytes, str]]:
    """Return (row, file's bytes, suffix) of every readable row, in order; the others are added to the problems."""

    def look(row: int) -> tuple[bytes, str] | str:
        try:
            content, ending = listing.read.original(row)
            decode_bytes(content, decoding)
        except UnreadableError as reason:
            return advised(str(reason))
        # By its ending an image is known among the members: a file without one, or with another, gets its format's.
        return content, ending if ending in IMAGE_ENDINGS else format_of(content).lower()

    threads = os.cpu_count() or 1
    start, ahead = 0, threads
    with warnings_ignored(), ThreadPoolExecutor(threads, "convscope-shard") as pool:
        while some := rows[start : start + ahead]:
            largest = 1
            for row, found in zip(some, pool.map(look, some), strict=True):
                if isinstance(found, str):
                    problems.append(Problem(listing.names[row], found))
                else:
                    largest = max(largest, len(found[0]))
                    yield row, *found
            start += len(some)
            ahead = max(1, min(AHEAD, AHEAD_BYTES // largest))


class _Writer:
    """The shards of one split, one after another."""

    def __init__(self, folder: Path, split: str, most_bytes: int, most_images: int | None) -> None:
        self._folder = folder
        self._split = split
        self._most_bytes = most_bytes
        self._most_images = most_images
        self._archive: tarfile.TarFile | None = None
        self._sizes: list[int] = []
        self._in_shard = 0
        self._images = 0

    def add(self, listing: Listing, row: int, content: bytes, ending: str) -> None:
        """Add one image with its label, and its group if it has one."""
        parts = [(ending, content), _label(listing, row)]
        if listing.groups is not None:
            parts.append((GROUP, str(int(listing.groups.numbers[row])).encode()))
        size = sum(BLOCK + -(-len(part) // BLOCK) * BLOCK for _, part in parts)
        full = self._sizes and _archive_size(self._sizes[-1] + size) > self._most_bytes
        if self._archive is None or full or self._in_shard == self._most_images:
            self._next()
        assert self._archive is not None
        key = f"{self._images:08d}_{_stem(listing.names[row])}"
        for suffix, part in parts:
            entry = tarfile.TarInfo(f"{key}.{suffix}")
            entry.size, entry.mode = len(part), 0o644
            self._archive.addfile(entry, io.BytesIO(part))
        self._sizes[-1] += size
        self._in_shard += 1
        self._images += 1

    def finish(self) -> Written:
        """Close the last shard, and return what was written."""
        self._close()
        paths = sorted(self._folder.glob(f"{self._split}-*{ENDING}"))
        size = sum(path.stat().st_size for path in paths)
        return Written(split=self._split, shards=len(paths), images=self._images, size=size)

    def _next(self) -> None:
        self._close()
        path = self._folder / f"{self._split}-{len(self._sizes):06d}{ENDING}"
        self._archive = tarfile.open(path, "x", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed in _close
        self._sizes.append(0)
        self._in_shard = 0

    def _close(self) -> None:
        if self._archive is not None:
            path = Path(str(self._archive.name))
            self._archive.close()
            with path.open("rb") as file:
                os.fsync(file.fileno())
            self._archive = None


def _archive_size(size: int) -> int:
    """Return an archive's size by that of its members: two blocks end it, and zeros fill its last record."""
    return -(-(size + 2 * BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def _label(listing: Listing, row: int) -> tuple[str, bytes]:
    """Return the suffix and content of a row's label file: its class's number, or a list of names."""
    if listing.targets is None:
        return "cls", str(int(listing.labels[row])).encode()
    shown = [name for name, is_shown in zip(listing.classes, listing.targets[row], strict=True) if is_shown]
    return "json", json.dumps({"labels": shown}).encode()


def _stem(name: str) -> str:
    """Return a file's name in characters that are safe in an archive, without a dot, at which keys end.

    >>> _stem("photos/rose/IMG 0001.new.jpg")
    'IMG_0001_new'
    """
    base = name.rpartition("/")[2]
    stem = base.rpartition(".")[0] or base
    return re.sub(r"[^A-Za-z0-9-]+", "_", stem)[:LONGEST_STEM].strip("_") or "image"


def _card(listing: Listing, splits: list[Written]) -> bytes:
    described = {
        "format": FORMAT,
        "classes": list(listing.classes),
        "multi_label": listing.targets is not None,
        "splits": {item.split: {"shards": item.shards, "images": item.images, "bytes": item.size} for item in splits},
    }
    return (json.dumps(described, indent=2, ensure_ascii=False) + "\n").encode()


def _write_through(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
