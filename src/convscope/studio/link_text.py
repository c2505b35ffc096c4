"""Numbers, names and percent-encoding in a link of the page: read, written and kept within range. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from urllib.parse import quote, unquote

LARGEST = 65_535  # channel, cell, page or step that a link may name
LARGEST_NUMBER, SMALLEST_NUMBER = 1e6, 1e-6  # smaller is 0

Note = Callable[[str], None]
"""Called with what is shown in place of a value that is out of range."""

_PLAIN = "-_.!~*'():,;/@"
_WHOLE = re.compile(r"-?\d{1,9}")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,30})?")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Unreadable(Exception):  # noqa: N818  a reason, not an error
    """What is needed instead of what a link says."""


def decoded(text: str) -> str:
    """Return percent-encoded text; raises Unreadable where an escape is cut off, or its bytes are not UTF-8.

    >>> decoded("layer1.0:relu%232")
    'layer1.0:relu#2'
    """
    if _ESCAPE.search(text):
        raise Unreadable("a % must be followed by two hexadecimal digits")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable("its bytes are not UTF-8") from None


def encoded(text: str) -> str:
    """Return text as JavaScript's encodeURIComponent writes it, but with `: , ; / @` as they are."""
    return quote(text.encode("utf-8", "replace"), safe=_PLAIN)


def inner_decoded(text: str) -> str:
    """Return a name within a list, of which % , and ; are encoded once more."""
    return text.replace("%3B", ";").replace("%2C", ",").replace("%25", "%")


def inner_encoded(name: str) -> str:
    """Return a name as a list holds it, with % , and ; encoded.

    >>> inner_encoded("50%,b"), inner_decoded("50%25%2Cb")
    ('50%25%2Cb', '50%,b')
    """
    return name.replace("%", "%25").replace(";", "%3B").replace(",", "%2C")


def moved(key: str, text: str, shown: str) -> str:
    """Return the note on a value that is out of range."""
    return f"{key}={text[:40]} is out of range: {shown} is shown"


def whole(text: str, note: Note, low: int = 0, high: int = LARGEST) -> int:
    """Return a whole number, moved to the nearest end where it is out of range; raises Unreadable for anything else."""
    if not _WHOLE.fullmatch(text) or not text.isascii():
        raise Unreadable("a whole number is needed")
    found = min(max(int(text), low), high)
    if found != int(text):
        note(str(found))
    return found


def wholes(text: str, count: int, low: int, high: int) -> list[int]:
    """Return whole numbers with commas between them, each moved into range; raises Unreadable for any other count."""
    parts = text.split(",")
    if len(parts) != count:
        raise Unreadable(f"{count} whole numbers are needed")
    return [whole(part, lambda _: None, low, high) for part in parts]


def decimal(text: str, low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> float:
    """Return a number in decimals, moved into range; raises Unreadable for anything else."""
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise Unreadable("a number in decimals is needed")
    found = min(max(float(text), low), high)
    return found if abs(found) >= SMALLEST_NUMBER else 0.0


def number_text(number: float) -> str:
    """Return a number in decimals with the fewest digits that give it back.

    >>> number_text(3.0), number_text(0.00002), number_text(-1.5), number_text(1e-9)
    ('3', '0.00002', '-1.5', '0')
    """
    number = min(max(float(number), -LARGEST_NUMBER), LARGEST_NUMBER)
    if not math.isfinite(number) or abs(number) < SMALLEST_NUMBER:
        return "0"
    return format(Decimal(repr(number)), "f").removesuffix(".0")
