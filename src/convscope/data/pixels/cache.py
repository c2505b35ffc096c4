"""The cache of decoded images: a file of raw pixels that is mapped into memory.

An entry is a folder named by its key, a digest of the source's identity and the decoding:

    pixels.bin     uint8 (N, H, W, C), row after row; rows that could not be read are zeros
    checksums.bin  a CRC-32 of each row, uint32
    digests.bin    the digest of what each row was decoded from, uint32
    entry.json     the shape, the rows skipped and why, the rows that are equal; written last

It is written in a folder of its own and renamed when it is whole, so neither a killed process nor a second one at
work on the same images can leave half an entry. Entries of the same source and decoding that the new one replaces are
removed, and the least recently used ones once all together pass the limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.data.pixels.cache_budget import cache_limit, require_room
from convscope.data.records import Decoding, Pixels
from convscope.errors import DataError
from convscope.files.checked import read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError, is_folder, read_bytes, require_regular
from convscope.report.usage import setting_name

# Raise it whenever the same file and decoding would give other pixels than before.
FORMAT = 2
STALE_SECONDS = 24 * 3600
# So much of an entry is checked against its checksums on opening: all of most, a sample of the largest.
CHECKED_BYTES = 256 * 2**20
# The files whose size counts: decoded pixels, and parts of features (`training/probe/feature_store`).
HELD = ("pixels.", "part-")


@dataclass
class DecodeOutcome:
    """The results of decoding besides the pixels, row by row."""

    # row -> why it was skipped
    bad: dict[int, str] = field(default_factory=dict)
    # remark -> how many images
    remarks: dict[str, int] = field(default_factory=dict)
    # (a row, the first row with the same pixels)
    same: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class CacheEntry:
    """One entry of the cache, open."""

    path: Path
    pixels: Pixels
    outcome: DecodeOutcome
    # The digest of what each row was decoded from (N,).
    digests: npt.NDArray[np.uint32]


def entry_key(identity: str, decoding: Decoding) -> str:
    """Return the name of the entry for these files with this decoding."""
    settings = json.dumps([FORMAT, identity, decoding.to_dict()])
    return hashlib.sha256(settings.encode()).hexdigest()[:32]


def checksum(row: Pixels) -> int:
    """Return the CRC-32 of one image's pixels."""
    return zlib.crc32(row.data if row.flags.c_contiguous else row.tobytes())


def open_entry(directory: Path, key: str, shape: tuple[int, ...], *, check: bool = True) -> CacheEntry | None:
    """Return the entry if it exists and is whole, else None; a damaged entry is removed.

    Without `check` the pixels' checksums are not verified: for an entry that this process has just written.
    """
    path = directory / key
    if not is_folder(path):
        return None
    entry = _read_entry(path, shape, check=check)
    if entry is None:
        remove_entry(path)
        return None
    # The folder's time says when the entry was last used.
    with contextlib.suppress(OSError):  # a cache that others own: readable is enough
        os.utime(path)
    return entry


def _read_entry(path: Path, shape: tuple[int, ...], *, check: bool) -> CacheEntry | None:
    try:
        described = read_json(path / "entry.json")
        checksums = np.frombuffer(read_bytes(path / "checksums.bin"), np.uint32)
        digests = np.frombuffer(read_bytes(path / "digests.bin"), np.uint32)
        require_regular(path / "pixels.bin")
        pixels = map_pixels(path / "pixels.bin", shape)
        whole = described.integers("shape") == shape and zlib.crc32(checksums.data) == described.integer("checksum")
        if not whole or pixels is None or len(checksums) != shape[0] or (check and not _is_sound(pixels, checksums)):
            return None
        if zlib.crc32(digests.data) != described.integer("digest") or len(digests) != shape[0]:
            return None
        outcome = _outcome(described, rows=shape[0])
    except (UnreadableError, OSError, ValueError):
        return None
    return CacheEntry(path, pixels, outcome, digests)


def _outcome(fields: Fields, *, rows: int) -> DecodeOutcome:
    """Return the results of decoding from the fields of an entry.json; raises UnreadableError."""
    bad, remarks = fields.object("bad"), fields.object("remarks")
    if not all(row.isdecimal() and int(row) < rows for row in bad.values):
        raise UnreadableError("its bad rows are no rows")
    return DecodeOutcome(
        bad={int(row): bad.text(row) for row in bad.values},
        remarks={remark: remarks.integer(remark, at_least=0) for remark in remarks.values},
        same=fields.pairs("same", at_least=0, at_most=rows - 1),
    )


def map_pixels(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    """Map the file read-only as uint8 of this shape; returns None if its size differs."""
    if path.stat().st_size != np.prod(shape, dtype=np.int64):
        return None
    # A plain array over the map: np.memmap itself makes every slice a slow subclass.
    return np.asarray(np.memmap(path, np.uint8, mode="r", shape=shape))


def _is_sound(pixels: Pixels, checksums: npt.NDArray[np.uint32]) -> bool:
    size = max(1, pixels[0].size)
    step = max(1, -(-len(pixels) * size // CHECKED_BYTES))
    # One view over all bytes: of thousands of small images, an array each would take longer than the checking.
    flat = pixels.reshape(-1).data
    found = [zlib.crc32(flat[row * size : (row + 1) * size]) for row in range(0, len(pixels), step)]
    return bool(np.array_equal(found, checksums[::step]))


class NewEntry:
    """An entry being written: a context manager that leaves nothing behind unless `keep` was reached.

    Raises CacheFullError if its pixels do not fit, before any is decoded; DataError if the folder can't be written.
    """

    def __init__(self, directory: Path, key: str, shape: tuple[int, ...]) -> None:
        self.directory = directory
        self.key = key
        self.shape = shape
        self.path = directory / f".new-{os.getpid()}-{secrets.token_hex(4)}"
        self.checksums = np.zeros(shape[0], np.uint32)
        self.digests = np.zeros(shape[0], np.uint32)
        self._descriptor = -1

    def __enter__(self) -> NewEntry:
        size = int(np.prod(self.shape, dtype=np.int64))
        require_room(self.directory, self.shape)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(self.directory)
            self.path.mkdir()
            self._descriptor = os.open(
                self.path / "pixels.bin", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
            )
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            self._discard()
            raise self._cannot_write(error) from None
        return self

    def write(self, first_row: int, block: Pixels, digests: npt.NDArray[np.uint32]) -> None:
        """Write consecutive rows and the digests of their encoded content; thread-safe."""
        self.digests[first_row : first_row + len(block)] = digests
        # Not through a map: there, a full disk kills the process.
        row_bytes = block[0].size
        for offset, row in enumerate(block):
            self.checksums[first_row + offset] = checksum(row)
        view = np.ascontiguousarray(block).data.cast("B")
        start = first_row * row_bytes
        try:
            while view:
                written = os.pwrite(self._descriptor, view, start)
                view, start = view[written:], start + written
        except OSError as error:
            raise self._cannot_write(error) from None

    def pixels(self) -> Pixels:
        """Return the rows written so far, mapped read-only."""
        pixels = map_pixels(self.path / "pixels.bin", self.shape)
        assert pixels is not None
        return pixels

    def keep(self, outcome: DecodeOutcome, *, source: str, part: str, decoding: Decoding) -> CacheEntry:
        """Finish the entry, rename it to its final name, and return it open.

        Entries of the same part of the source, and the same decoding, are removed: their images have changed since.
        Another process may remove it at once, to keep the cache below its limit: then it is held until it is closed.
        """
        described: dict[str, Any] = {
            "format": FORMAT,
            "source": os.path.realpath(source) + part,
            "decoding": decoding.to_dict(),
            "shape": list(self.shape),
            "checksum": zlib.crc32(self.checksums.data),
            "digest": zlib.crc32(self.digests.data),
            **asdict(outcome),
        }
        final = self.directory / self.key
        try:
            os.fsync(self._descriptor)
            self.checksums.tofile(self.path / "checksums.bin")
            self.digests.tofile(self.path / "digests.bin")
            (self.path / "entry.json").write_text(json.dumps(described), encoding="utf-8")
            pixels = self.pixels()
            try:
                self.path.rename(final)
            except OSError:
                # Another process was first: its entry is as good.
                if not final.is_dir():
                    raise
        except OSError as error:
            raise self._cannot_write(error) from None
        _remove_superseded(self.directory, self.key, described)
        keep_below_limit(self.directory, self.key, cache_limit())
        entry = open_entry(self.directory, self.key, self.shape, check=False)
        return entry or CacheEntry(final, pixels, outcome, self.digests)

    def __exit__(self, *exception: object) -> None:
        self._discard()

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        shutil.rmtree(self.path, ignore_errors=True)

    def _cannot_write(self, error: OSError) -> DataError:
        return DataError(
            f"decoded images can't be kept in {self.directory} ({(error.strerror or str(error)).lower()}): "
            f"give a folder that can be written by {setting_name('cache_directory')} or CONVSCOPE_CACHE"
        )


def _remove_leftovers(directory: Path) -> None:
    """Remove temporary folders of killed processes, to which nothing was written for a day."""
    now = time.time()
    for path in directory.glob(".new-*"):
        try:
            # A folder's own time is that of its last new file: a process may decode into one for days.
            if now - max(file.stat().st_mtime for file in (path, *path.iterdir())) > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue


def _entries(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if not path.name.startswith(".") and (path / "entry.json").is_file()]


def _remove_superseded(directory: Path, key: str, described: dict[str, Any]) -> None:
    """Remove entries of the same source and decoding whose files have changed since."""
    for path in _entries(directory):
        if path.name == key:
            continue
        try:
            other = read_json(path / "entry.json")
            superseded = all(other.value(name) == described[name] for name in ("source", "decoding"))
        except UnreadableError:
            continue
        if superseded:
            remove_entry(path)


def keep_below_limit(directory: Path, key: str, limit: int) -> None:
    """Remove the least recently used entries until the rest fit; the one just made always stays."""
    sizes: list[tuple[float, int, Path]] = []
    for path in _entries(directory):
        try:
            held = sum(file.stat().st_size for file in path.iterdir() if file.name.startswith(HELD))
            sizes.append((path.stat().st_mtime, held, path))
        except OSError:
            continue
    total = sum(size for _, size, _ in sizes)
    for _, size, path in sorted(sizes):
        if total <= limit:
            return
        if path.name != key:
            remove_entry(path)
            total -= size


def remove_entry(path: Path) -> None:
    """Remove an entry atomically; a process that has it mapped keeps its pages."""
    hidden = path.with_name(f".new-removed-{secrets.token_hex(4)}")
    try:
        path.rename(hidden)
    except OSError:
        return
    shutil.rmtree(hidden, ignore_errors=True)
