"""Records whose `repr` is one short line, whatever they hold: weights, arrays and long lists are named, not printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields
from pathlib import Path
from typing import Any

from convscope.report.printable import printable

LONGEST = 120  # characters of a repr
LONGEST_VALUE = 40  # characters of one field in it


class ShortRepr:
    """A record that is printed as `<Class headline>`; a dataclass must be declared with `repr=False`.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, repr=False)
    ... class Trained(ShortRepr):
    ...     name: str
    ...     epochs: int
    ...     weights: dict[str, float]
    >>> Trained("lenet5", 3, {"fc": 0.1})
    <Trained name lenet5, epochs 3, weights: 1 item>
    """

    __slots__ = ()

    def headline(self) -> str:
        """Return what the record is, in a few words; by default its fields in short."""
        record: Any = self  # a dataclass, where a class has no headline of its own
        values = ((item.name, getattr(self, item.name)) for item in fields(record) if item.repr)
        known = [(name, value) for name, value in values if not (value is None or (type(value) is str and not value))]
        return ", ".join(_field(name.replace("_", " "), value) for name, value in known)

    def __repr__(self) -> str:
        line = f"<{type(self).__name__} {printable(self.headline())}".rstrip()
        return f"{line}>" if len(line) < LONGEST else f"{_whole_words(line[: LONGEST - 2])}…>"


def _whole_words(text: str) -> str:
    """Return the text without its last word, which is cut; of one long word, what there is."""
    whole = text.rpartition(" ")[0].rstrip(" ,;:")
    return whole if len(whole) > len(text) // 2 else text


def short_path(path: object, *, longest: int = LONGEST_VALUE) -> str:
    """Return a path or name without its beginning where it is long.

    >>> short_path("photos/2026/summer/holidays/in/the/mountains/img_0001.jpg")
    '…/holidays/in/the/mountains/img_0001.jpg'
    """
    text = str(path)
    return text if len(text) <= longest else f"…{text[1 - longest :]}"


def image_label(name: str) -> str:
    """Return how a title calls an image: by its file's name, a built-in digit by the whole of it.

    >>> image_label("photos/2026/robin.jpg"), image_label("digits/7")
    ('robin.jpg', 'digits/7')
    """
    return name if re.fullmatch(r"digits/[0-9]+", name) else name.rpartition("/")[2] or name


def named_folder(path: str) -> str:
    """Return a path as it is, but the folder's own name for ".", ".." and what ends in "..".

    >>> named_folder("photos/cat"), named_folder("/"), named_folder(".") == Path.cwd().name
    ('photos/cat', '/', True)
    """
    ends_named = Path(path).name not in ("", "..")
    return path if ends_named else Path(path).resolve().name or path


def _field(name: str, value: Any) -> str:
    if isinstance(value, str | bool | int | float):
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        return f"{name} {text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + '…'}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{name}: {'×'.join(map(str, value.shape)) or 'one'} {value.dtype}"
    if isinstance(value, tuple) and len(value) <= 5 and all(isinstance(item, int) for item in value):
        return f"{name} {value}"
    if isinstance(value, Mapping | AbstractSet | list | tuple):
        return f"{name}: {len(value):,} item{'' if len(value) == 1 else 's'}"
    inner = value.headline() if isinstance(value, ShortRepr) else str(value)
    return f"{name} {inner}" if len(inner) <= LONGEST_VALUE else f"{name}: {type(value).__name__}"
