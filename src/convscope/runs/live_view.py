"""A training as it is at one step, for whoever looks: filters, feature maps of one image, norms. Imports no torch.

In `live/view.bin`: 4 bytes with the length of the header (little-endian), the header as JSON, zeros up to a multiple of
4, then the pictures' bytes one after another, each at a multiple of 4. So it is passed on to the page as it is.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from convscope.files.checked import parse_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.report.short_repr import ShortRepr
from convscope.runs.layer_norms import Norms, norms_of, short_norms

PictureKind = Literal["image", "filters", "maps"]

FORMAT = 1
LARGEST_VIEW = 4 * 2**20
MOST_PICTURES = 64
LARGEST_PICTURE_SIDE = 4096


@dataclass(frozen=True, kw_only=True, repr=False)
class LivePicture(ShortRepr):
    """Pictures of one layer as bytes, all of one size; where 0 to 255 lie among its numbers stands beside them.

    Args:
        kind: "image" (what the maps are of), "filters" or "maps".
        layer: its name; "" of the image.
        shape: (count, height, width, colours); colours are 1 or 3.
        channels: which of the layer's filters or maps these are, in order.
        total: how many the layer has.
        low: the number that 0 stands for, one for all pictures or one each.
        high: the number that 255 stands for.
        pixels: uint8, in C order.
    """

    kind: PictureKind
    layer: str
    shape: tuple[int, int, int, int]
    channels: tuple[int, ...]
    total: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    pixels: bytes

    def headline(self) -> str:
        """Return what it shows."""
        return f"{self.kind} of {self.layer}: {self.shape[0]} of {self.total}"

    def header(self) -> dict[str, Any]:
        """Return everything but the bytes, as JSON has it."""
        return {
            "kind": self.kind,
            "layer": self.layer,
            "shape": list(self.shape),
            "channels": list(self.channels),
            "total": self.total,
            "low": _rounded(self.low),
            "high": _rounded(self.high),
        }

    @classmethod
    def from_fields(cls, fields: Fields, body: bytes, start: int) -> LivePicture:
        """Return the picture of a header whose bytes begin at `start`; raises UnreadableError where it is none."""
        shape = fields.integers("shape", at_least=1, at_most=LARGEST_PICTURE_SIDE)
        if len(shape) != 4 or shape[3] not in (1, 3):
            raise UnreadableError(f"{fields.place}shape is {list(shape)}: it must be (count, height, width, 1 or 3)")
        size = math.prod(shape)
        if start + size > len(body):
            raise UnreadableError(f"{fields.place}shape needs {size:,} bytes from {start:,} on: it has {len(body):,}")
        channels = fields.integers("channels", at_least=0)
        low, high = fields.numbers("low"), fields.numbers("high")
        if len(channels) != shape[0] or len(low) not in (1, shape[0]) or len(low) != len(high):
            raise UnreadableError(f"{fields.place}channels, low or high are not those of {shape[0]} pictures")
        return cls(
            kind=cast(PictureKind, fields.text("kind", one_of=get_args(PictureKind))),
            layer=fields.text("layer"),
            shape=(shape[0], shape[1], shape[2], shape[3]),
            channels=channels,
            total=fields.integer("total", at_least=1),
            low=low,
            high=high,
            pixels=body[start : start + size],
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class LiveView(ShortRepr):
    """A training as it is before one of its steps.

    Args:
        step: steps that are done.
        epoch: the same in epochs, with its fraction.
        time: when it was taken, in seconds since 1970.
        pictures: the image, filters of the first layer, maps of some layers.
        outputs: the root mean square of each layer's output for that image; None where it is not finite.
        gradients: the root mean square of each layer's weights' gradient in the step before, as it was applied.
    """

    step: int
    epoch: float
    time: float
    pictures: tuple[LivePicture, ...]
    outputs: Norms
    gradients: Norms

    def headline(self) -> str:
        """Return the step and what is shown."""
        return f"step {self.step}: {len(self.pictures)} pictures"

    def __hash__(self) -> int:
        return hash((self.step, self.time))

    def encoded(self) -> bytes:
        """Return the bytes of the file."""
        header = {
            "format": FORMAT,
            "step": self.step,
            "epoch": float(f"{self.epoch:.6g}"),
            "time": round(self.time, 3),
            "outputs": short_norms(self.outputs),
            "gradients": short_norms(self.gradients),
            "pictures": [picture.header() for picture in self.pictures],
        }
        text = json.dumps(header, allow_nan=False).encode()
        bodies = [picture.pixels + bytes(-len(picture.pixels) % 4) for picture in self.pictures]
        return b"".join((struct.pack("<I", len(text)), text, bytes(-len(text) % 4), *bodies))

    @classmethod
    def decoded(cls, data: bytes) -> LiveView:
        """Return the view in the bytes of a file.

        Raises:
            UnreadableError: they are no view, or one that is cut off.

        >>> view = LiveView(step=3, epoch=0.5, time=1.0, pictures=(), outputs={"conv1": 0.5}, gradients={})
        >>> LiveView.decoded(view.encoded()) == view
        True
        """
        length = struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0
        if not 2 <= length <= len(data) - 4:
            raise UnreadableError(f"no view: {len(data):,} bytes, of which {length:,} should be its header")
        fields = Fields.of(parse_json(data[4 : 4 + length]))
        fields.require_format(FORMAT, remedy="train again")
        body = data[4 + length + -length % 4 :]
        described = fields.objects("pictures")
        if len(described) > MOST_PICTURES:
            raise UnreadableError(f"it has {len(described):,} pictures: the limit is {MOST_PICTURES}")
        pictures, start = [], 0
        for each in described:
            pictures.append(LivePicture.from_fields(each, body, start))
            start += len(pictures[-1].pixels) + -len(pictures[-1].pixels) % 4
        return cls(
            step=fields.integer("step", at_least=0),
            epoch=fields.number("epoch", at_least=0),
            time=fields.number("time", at_least=0),
            pictures=tuple(pictures),
            outputs=norms_of(fields.object("outputs")),
            gradients=norms_of(fields.object("gradients")),
        )


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [float(f"{number:.5g}") if math.isfinite(number) else 0.0 for number in numbers]
