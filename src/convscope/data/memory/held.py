"""Single images in memory, pixels or PIL images, read row by row: their digests, sizes, and the reader of a listing."""

from __future__ import annotations

import hashlib
import io
import statistics
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from convscope.data.image_item import as_pillow, fit_pixels, is_pillow
from convscope.data.listing import DecodedImage, content_digest
from convscope.data.pixels.decode import decode_pillow, orientation, turned
from convscope.data.pixels.numbers import as_pixels, is_numbers, numbers_of
from convscope.data.records import Decoding, Pixels
from convscope.data.sources.measure import GREY_MODES
from convscope.data.value_range import AUTO
from convscope.errors import DataError
from convscope.files.regular import UnreadableError

if TYPE_CHECKING:
    from PIL import Image

# uint8 (H, W, C), or an image in a mode that is flattened when it is decoded.
Held: TypeAlias = "Pixels | Image.Image"


_MODES_OF_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_WITH_ALPHA = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}


class Seen(NamedTuple):
    """What is kept of an image that was read: its content's digest, height and width, and whether it is grey."""

    digest: int
    height: int
    width: int
    grey: bool


def as_held(given: Any, where: str, value_range: str = AUTO) -> Held:
    """Return a PIL image, an array or a tensor as it is held; raises DataError with its place.

    A PIL image of grey or colour becomes pixels, so that its digest is that of an equal array.
    """
    if is_numbers(given):
        try:
            return as_pixels(numbers_of(given), value_range)
        except UnreadableError as reason:
            raise DataError(f"{where}: {reason}") from None
    if not is_pillow(given):
        raise DataError(f"{where} is of type {type(given).__name__}: give a PIL image, an array or a tensor")
    if not all(given.size):
        raise DataError(f"{where} is an empty image, {given.width}x{given.height}: it has no pixels")
    try:
        # An opened file is decoded here; a damaged one is refused here, whatever its mode is.
        given.load()
        image: Image.Image = given
        if image.mode not in ("L", "RGB") or "transparency" in image.info or orientation(image) != 1:
            return image
        return as_pixels(np.asarray(image)[..., None] if image.mode == "L" else np.asarray(image))
    except Exception as error:  # whatever a decoder raises, its meaning is that the image can't be read
        raise DataError(f"{where} can't be read: {' '.join(str(error).split())}") from None


def content_of(image: Held) -> bytes:
    """Return an image's shape and content as bytes."""
    if isinstance(image, np.ndarray):
        return f"{image.shape}".encode() + image.tobytes()
    content = f"{image.mode} {image.size}".encode() + image.tobytes()
    # Two images of equal pixels differ by their colours, what of them is transparent, and how they are turned.
    palette = bytes(image.getpalette() or ()) if image.mode in ("P", "PA") else b""
    beside = (image.info.get("transparency"), orientation(image))
    return content + palette + (b"" if beside == (None, 1) else repr(beside).encode())


def look_at(images: Iterable[Held], digest: hashlib._Hash) -> list[Seen]:
    """Return what is kept of each image, and add its content to the digest of all."""
    found = []
    for image in images:
        content = content_of(image)
        digest.update(content)
        if isinstance(image, np.ndarray):
            height, width, channels = image.shape
            grey = channels == 1
        else:
            height, width, grey = image.height, image.width, image.mode in GREY_MODES
        found.append(Seen(content_digest(content), height, width, grey))
    return found


def typical_of_seen(seen: Sequence[Seen]) -> tuple[tuple[int, int], int]:
    """Return the median (height, width), and 1 channel if all are grey, else 3."""
    height, width = (
        round(statistics.median(sizes)) for sizes in zip(*((s.height, s.width) for s in seen), strict=True)
    )
    return (height, width), 1 if all(one.grey for one in seen) else 3


def _for_png(image: Image.Image) -> Image.Image:
    """Return a PIL image upright, since the PNG writer leaves the orientation out, in a mode that a PNG file has.

    Raises:
        UnreadableError: its numbers are of more bits than a PNG file holds.
    """
    upright = turned(image, orientation(image))
    if upright.mode in _MODES_OF_PNG:
        return upright
    if upright.mode[0] in "IF":
        raise UnreadableError(
            f"its pixels are of the kind {upright.mode}, which no PNG file holds: give it as an array"
        )
    return upright.convert(_WITH_ALPHA.get(upright.mode, "RGB"))


class HeldReader:
    """A reader of images that the caller holds; `alone` keeps all threads but one out of the caller's code."""

    # Their content is their identity: what is found decoded is not compared again.
    reads_single_rows: ClassVar[bool] = False

    def __init__(self, read: Callable[[int], Held], seen: Sequence[Seen], *, alone: bool) -> None:
        self._read = read
        self._seen = seen
        self._lock: AbstractContextManager[Any] = threading.Lock() if alone else nullcontext()

    def __call__(self, row: int, decoding: Decoding) -> DecodedImage:
        """Decode one image.

        Raises:
            DataError: it is another one than when it was first read.
            UnreadableError: a mode of PIL that is not read.
        """
        image = self._image(row)
        if isinstance(image, np.ndarray):
            return DecodedImage(fit_pixels(image, decoding), None, self._seen[row].digest)
        pixels, remark = decode_pillow(image, decoding)
        return DecodedImage(pixels, remark, self._seen[row].digest)

    def digest(self, row: int) -> int:
        """Return the digest of one image's content."""
        return self._seen[row].digest

    def original(self, row: int) -> tuple[bytes, str]:
        """Return one image as a PNG file, which is lossless, and its suffix; raises UnreadableError where none is."""
        image, content = self._image(row), io.BytesIO()
        (as_pillow(image) if isinstance(image, np.ndarray) else _for_png(image)).save(content, "PNG")
        return content.getvalue(), "png"

    def _image(self, row: int) -> Held:
        with self._lock:
            image = self._read(row)
        if content_digest(content_of(image)) != self._seen[row].digest:
            raise DataError(
                f"image {row} has changed since it was first read: give a dataset that returns the same image each "
                "time, without random transforms (the recipe's augmentation is applied to its images)"
            )
        return image
