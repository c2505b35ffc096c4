"""CSV files: tables for other programs, whatever the names in them, and as exact names when we read them back.

A text that a spreadsheet would take for a formula gets an apostrophe in front, and so does one that begins with one.
Control and invisible characters are written as Python writes them (\\n, \\x1b, \\u202e), in a text whose backslashes
are then doubled. Numbers stay as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from convscope.files.regular import UnreadableError
from convscope.report.printable import is_unprintable

# What begins a formula in a spreadsheet; also as full-width characters, which some take for the same.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(inf|nan)", re.IGNORECASE | re.ASCII)
_ESCAPE = re.compile(r"\\(\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(0[0-9a-f]|10)[0-9a-f]{4})")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a header and rows as the text of a CSV file.

    >>> print(csv_text(("image", "class", "confidence"), [("a.png", "=1+1", 0.5), ("b\\n.png", "-1", -2)]), end="")
    image,class,confidence
    a.png,'=1+1,0.5
    b\\n.png,-1,-2
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(name) for name in header])
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def read_csv(text: str) -> list[dict[str, str]]:
    """Return the rows of a text that `csv_text` wrote, by column; names are again what they were.

    Raises:
        UnreadableError: it is not CSV.

    >>> read_csv(csv_text(("image",), [("=a\\x1b.png",), ("'b.png",)]))
    [{'image': '=a\\x1b.png'}, {'image': "'b.png"}]
    """
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True) if text else [[]]
    except csv.Error as error:
        raise UnreadableError(f"not CSV: {error}") from None
    names = [_original(name) for name in header]
    return [dict(zip(names, map(_original, row), strict=False)) for row in rows if row]


def cell(value: object) -> str:
    """Return a value as a cell of a CSV file holds it, before it is quoted.

    >>> cell(-0.5), cell("-0.5"), cell("-x"), cell("rose"), cell("\\x1b[31m")
    ('-0.5', '-0.5', "'-x", 'rose', '\\\\x1b[31m')
    """
    if not isinstance(value, str):
        return str(value)
    # A backslash that would be read as an escape is doubled too.
    text = value if value.isprintable() and not _ESCAPE.search(value) else "".join(map(_escaped, value))
    starts = text.startswith((*_FORMULA, "'")) and not _NUMBER.fullmatch(text)
    return f"'{text}" if starts else text


def _escaped(character: str) -> str:
    if character == "\\" or is_unprintable(character):
        return character.encode("unicode_escape").decode("ascii")
    return character


def _original(text: str) -> str:
    text = text.removeprefix("'")
    return _ESCAPE.sub(lambda found: found[0].encode("ascii").decode("unicode_escape"), text)
