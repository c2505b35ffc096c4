"""The images that the page can choose: their keys, and what each names. No torch; nothing is decoded here.

A key is `sample:N` for an image of our own, `upload:SHA` for one that was sent, `given` for the command line's, or
`run:NAME/N` for image N of a run's data.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.studio.models import GIVEN, RUN_PREFIX, Openable, run_folders
from convscope.studio.protocol import StudioError

SAMPLE_PREFIX = "sample:"
UPLOAD_PREFIX = "upload:"
UPLOADS_KEPT = 64
UPLOAD_BYTES = 128 * 2**20  # that are kept of all uploads; the oldest go

# (title, what draws or holds it): see `convscope.studio.compute` for the drawing.
SAMPLES: tuple[tuple[str, str], ...] = (
    ("shapes", "drawn/0"),
    ("shapes on a texture", "drawn/1"),
    ("two shapes", "drawn/2"),
    ("bars", "drawn/bars"),
    ("rings", "drawn/rings"),
    ("gradient", "drawn/gradient"),
    ("checkerboard", "drawn/checkerboard"),
    ("one bright pixel", "drawn/pixel"),
    *((f"digit {digit}", f"digits/{digit}") for digit in range(10)),
)
SAMPLE_SIDE = 224  # of those drawn, in pixels

_UPLOAD = re.compile(r"upload:[0-9a-f]{16}")
_OF_RUN = re.compile(r"run:(.+)/(\d{1,9})", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """An image that the page can choose.

    Args:
        key: names it in requests and links.
        title: what the page shows.
        load: a sample's drawing or digit, as in SAMPLES; a path or digit for the given one; "" for an upload, whose
            bytes come with the question; the number of an image of a run.
        run: the name of the run that it is of, or "".
    """

    key: str
    title: str
    load: str
    run: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows of it; never a path."""
        side = (8 if self.load.startswith("digits/") else SAMPLE_SIDE) if self.key.startswith(SAMPLE_PREFIX) else None
        return {"key": self.key, "title": self.title, "width": side, "height": side}


def list_images(openable: Openable) -> list[ImageSource]:
    """Return the images that are there from the start: the given one and the samples."""
    given = [image_source(GIVEN, openable)] if openable.image else []
    return [*given, *(image_source(f"{SAMPLE_PREFIX}{number}", openable) for number in range(len(SAMPLES)))]


def image_source(key: str, openable: Openable) -> ImageSource:
    """Return the image of a key; whether an upload or a run's image is still there shows when it is opened.

    Raises:
        StudioError: no image can have this key, or there is no such run.
    """
    if key == GIVEN:
        if not openable.image:
            raise StudioError("the command named no image: choose a sample, or send one", "gone")
        return ImageSource(key=GIVEN, title=Path(openable.image).name, load=openable.image)
    if key.startswith(SAMPLE_PREFIX):
        number = key.removeprefix(SAMPLE_PREFIX)
        if not number.isascii() or not number.isdigit() or len(number) > 4 or int(number) >= len(SAMPLES):
            raise StudioError(f"there is no sample {number[:20]!r}: there are sample:0 to sample:{len(SAMPLES) - 1}")
        title, load = SAMPLES[int(number)]
        return ImageSource(key=f"{SAMPLE_PREFIX}{int(number)}", title=title, load=load)
    if _UPLOAD.fullmatch(key):
        return ImageSource(key=key, title="an image of yours", load="")
    if (of_run := _OF_RUN.fullmatch(key)) is not None:
        name, number = of_run.groups()
        if name not in run_folders(openable.runs):
            raise StudioError(f"there is no run {name[:80]!r} below the runs folder", "gone")
        return ImageSource(key=key, title=f"image {int(number)} of {name}", load=str(int(number)), run=name)
    raise StudioError(
        f"{key[:80]!r} names no image: needed is sample:N, upload:NAME, {RUN_PREFIX}NAME/N or {GIVEN}", "gone"
    )


class Uploads:
    """Images that were sent to this server, by the hash of their bytes; the oldest go when the memory is full."""

    def __init__(self, limit: int = UPLOAD_BYTES, count: int = UPLOADS_KEPT) -> None:
        self._limit, self._count = limit, count
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def add(self, data: bytes) -> str:
        """Keep an upload and return its key."""
        key = f"{UPLOAD_PREFIX}{hashlib.sha256(data).hexdigest()[:16]}"
        self._kept[key] = data
        self._kept.move_to_end(key)
        while len(self._kept) > self._count or (
            len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._limit
        ):
            self._kept.popitem(last=False)
        return key

    def forget(self, key: str) -> None:
        """Remove an upload that turned out to be no image."""
        self._kept.pop(key, None)

    def content(self, key: str) -> bytes:
        """Return the bytes of an image of this key: empty for one that is no upload.

        Raises:
            StudioError: of kind "gone": the upload was sent to another server, or was dropped for newer ones.
        """
        if not key.startswith(UPLOAD_PREFIX):
            return b""
        if key not in self._kept:
            raise StudioError("that image is here no more: send it again, or choose a sample", "gone")
        self._kept.move_to_end(key)
        return self._kept[key]
