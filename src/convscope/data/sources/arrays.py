"""Sources that hold many images in a file (IDX, CIFAR, digits): read at once, when the first row is read."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from convscope.data.listing import DecodedImage, ListedFile, content_digest
from convscope.data.pixels.decode import fit, from_array
from convscope.data.pixels.flatten import EIGHT_BITS
from convscope.data.records import Decoding, Pixels
from convscope.data.value_range import AUTO


@dataclass(frozen=True)
class ArrayBlock:
    """Consecutive rows: their count, and `load`, which returns uint8 (count, H, W, C) and may raise DataError."""

    count: int
    load: Callable[[], Pixels]


@dataclass
class ArrayReader:
    """A reader of the rows of consecutive blocks; each block is loaded once."""

    blocks: list[ArrayBlock]
    _loaded: dict[int, Pixels] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    # A block is loaded as a whole.
    reads_single_rows: ClassVar[bool] = False

    def __call__(self, row: int, decoding: Decoding) -> DecodedImage:
        """Return one row, resized as the decoding states, and a remark where a range of values has no effect."""
        pixels = self._row(row)
        digest = content_digest(pixels.tobytes())
        fitted = pixels if pixels.shape == decoding.image_shape else fit(from_array(pixels), decoding)
        return DecodedImage(fitted, None if decoding.value_range == AUTO else EIGHT_BITS, digest)

    def digest(self, row: int) -> int:
        """Return the digest of one row's pixels."""
        return content_digest(self._row(row).tobytes())

    def original(self, row: int) -> tuple[bytes, str]:
        """Return one row as a PNG file, which is lossless, and its suffix."""
        content = io.BytesIO()
        from_array(self._row(row)).save(content, "PNG")
        return content.getvalue(), "png"

    def _row(self, row: int) -> Pixels:
        """Return one row, uint8 (H, W, C)."""
        place = 0
        while row >= self.blocks[place].count:
            row -= self.blocks[place].count
            place += 1
        with self._lock:
            if place not in self._loaded:
                self._loaded[place] = self.blocks[place].load()
        pixels: Pixels = self._loaded[place][row]
        return pixels


def found_file(path: Path) -> ListedFile:
    """Return a file's record: path, size and time."""
    status = path.stat()
    return ListedFile(str(path), status.st_size, status.st_mtime_ns)
