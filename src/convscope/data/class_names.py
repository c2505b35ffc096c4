"""Names of classes: which can be kept in a run's files, and which a reader takes for one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from convscope.errors import DataError
from convscope.report.printable import few, printable


def require_text(name: str) -> None:
    """Raise DataError for the name of a class that no file of a run can hold.

    >>> require_text("café")
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"the class {printable(name)} is no text in UTF-8 (half of a surrogate pair): rename it"
        ) from None


def look_alikes(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    r"""Yield the pairs of names that differ in case or in how an accent is written only.

    >>> list(look_alikes(["A", "b", "a", "caf\u00e9", "cafe\u0301"])) == [("A", "a"), ("caf\u00e9", "cafe\u0301")]
    True
    """
    folded: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if key in folded:
            yield folded[key], name
        folded[key] = name


def look_alikes_text(names: Iterable[str]) -> str:
    r"""Return a sentence that names the classes that look alike; "" where none do.

    >>> look_alikes_text(["A", "a", "b"])
    "classes that differ in case or accents only: 'A' and 'a': give them one name if they are one class"
    """
    pairs = few([f"{first!a} and {second!a}" for first, second in look_alikes(names)])
    return (
        f"classes that differ in case or accents only: {pairs}: give them one name if they are one class"
        if pairs
        else ""
    )
