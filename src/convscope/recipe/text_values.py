"""Settings that say several things in one text: an image's height and width, a network's own options."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.errors import RunError
from convscope.files.checked import parse_toml
from convscope.files.regular import UnreadableError

LARGEST_SIDE = 8192


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from "32" or "32x48"; raises RunError.

    >>> parse_size("32"), parse_size("32x48")
    ((32, 32), (32, 48))
    """
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise RunError(
            f"image_size {text!r} is not a size in pixels: write it like 32, or 32x48 (height x width), or auto"
        )
    height, width = int(parts[0]), int(parts[-1])
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise RunError(f"image_size {text} has a side outside 1 to {LARGEST_SIDE} pixels")
    return height, width


def parse_options(text: str) -> dict[str, object]:
    """A network's own settings from "variant=notes,width=2"; raises RunError.

    >>> parse_options("variant=notes,width=2,bias=true")
    {'variant': 'notes', 'width': 2, 'bias': True}
    """
    options: dict[str, object] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not (name and sign and value):
            raise RunError(f"model_options {text!r}: {part!r} is not NAME=VALUE")
        try:
            options[name] = parse_toml(f"value = {value}")["value"]
        except UnreadableError:
            options[name] = value
    return options


def options_text(options: Mapping[str, object]) -> str:
    """Return a network's own settings in the text that `parse_options` reads.

    >>> options_text({"variant": "notes", "width": 2, "bias": True})
    'variant=notes,width=2,bias=true'
    """
    return ",".join(
        f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()
    )
