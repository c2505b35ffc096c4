"""Sources that hold many images in a file (IDX, CIFAR, digits): read when the first row is asked for, in one go."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from convscope.data.listing import Found, Image, content_digest
from convscope.data.pixels.decode import fit, from_array
from convscope.data.records import Decoding, Pixels


@dataclass(frozen=True)
class ArrayBlock:
    """Some consecutive rows: how many, and how to load them as uint8 (count, H, W, C); `load` may raise DataError."""

    count: int
    load: Callable[[], Pixels]


@dataclass
class ArrayReader:
    """Reads rows of blocks that follow one another; each block is loaded once."""

    blocks: list[ArrayBlock]
    _loaded: dict[int, Pixels] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    # A block is loaded as a whole.
    reads_single_rows: ClassVar[bool] = False

    def __call__(self, row: int, decoding: Decoding) -> Image:
        """One row, fitted to the decoding; there is never a remark."""
        pixels = self._row(row)
        digest = content_digest(pixels.tobytes())
        fitted = pixels if pixels.shape == decoding.image_shape else fit(from_array(pixels), decoding)
        return Image(fitted, None, digest)

    def digest(self, row: int) -> int:
        """The digest of one row's pixels."""
        return content_digest(self._row(row).tobytes())

    def original(self, row: int) -> tuple[bytes, str]:
        """One row as a PNG file, which keeps every pixel, and its ending."""
        content = io.BytesIO()
        from_array(self._row(row)).save(content, "PNG")
        return content.getvalue(), "png"

    def _row(self, row: int) -> Pixels:
        """uint8 (H, W, C)."""
        place = 0
        while row >= self.blocks[place].count:
            row -= self.blocks[place].count
            place += 1
        with self._lock:
            if place not in self._loaded:
                self._loaded[place] = self.blocks[place].load()
        pixels: Pixels = self._loaded[place][row]
        return pixels


def found_file(path: Path) -> Found:
    """A file's size and time."""
    status = path.stat()
    return Found(str(path), status.st_size, status.st_mtime_ns)
