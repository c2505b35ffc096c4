"""Columns of 0 and 1 in a table, each of which is a class: what such a column holds, and what is a mistake in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from convscope.data.sources.sheet import Sheet
from convscope.errors import DataError
from convscope.report.printable import few
from convscope.report.units import plural
from convscope.report.usage import setting_name

YES, NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})
# In a column of these and 1 alone, as of attributes, the image does not show the class.
MINUS = frozenset({"-1", "-1.0"})
# In a column of 0 and 1, other values than in this share of the rows, or in one, are no mistake.
MISTAKES = 0.05
# By how much soft labels of an image may differ from 1 in all: they are written with a few digits.
ROUNDED = 0.02


def is_hot(sheet: Sheet, place: int) -> bool:
    """Return whether a column holds 0 and 1 only, or -1 and 1."""
    cells = {cell.casefold() for cell in set(sheet.column(place))}
    return cells <= YES | NO or cells <= YES | MINUS


def is_one_hot(sheet: Sheet, hot: Sequence[int]) -> bool:
    """Return whether exactly one of the columns of 0 and 1 is 1 in each row."""
    return all(sum(row.cells[place].casefold() in YES for place in hot) == 1 for row in sheet.rows)


def refuse_uncertain(sheet: Sheet, places: Sequence[int]) -> None:
    """Raise DataError if columns hold 1, 0 and what is neither, -1 or nothing: an image shows a class or does not."""
    found = []
    for place in places:
        cells = {cell.casefold() for cell in set(sheet.column(place))}
        if cells <= YES | NO | MINUS | {""} and cells & YES and not is_hot(sheet, place):
            found.append(place)
    if len(found) > 1:
        raise DataError(
            f"{sheet.path}: {few(sheet.header[place] for place in found)} hold 1, 0, and -1 or nothing in some rows: "
            f"write 0 or 1 there, or name other columns, {setting_name('label_column')}"
        )


def refuse_soft(sheet: Sheet, places: Sequence[int]) -> None:
    """Raise DataError if columns hold shares of one, a column for each class: a training takes whole classes."""
    shares = {place: found for place in places if (found := _shares(sheet.column(place))) is not None}
    # Columns of 0 and 1 alone are no soft labels.
    if len(shares) < 2 or all(share in (0.0, 1.0) for column in shares.values() for share in column):
        return
    if all(abs(sum(row) - 1.0) < ROUNDED for row in zip(*shares.values(), strict=True)):
        raise DataError(
            f"{sheet.path}: {few(sheet.header[place] for place in shares)} hold shares that add up to 1 in each row "
            "(soft labels): write the class of each image in one column, label"
        )


def _shares(cells: Sequence[str]) -> list[float] | None:
    """Return the numbers of a column that are all from 0 to 1, or None."""
    if not all(re.fullmatch(r"(\d(\.\d{1,40})?|\.\d{1,40})(e-\d{1,3})?", cell.casefold()) for cell in set(cells)):
        return None
    shares = [float(cell) for cell in cells]
    return shares if all(share <= 1.0 for share in shares) else None


def refuse_mistakes(sheet: Sheet, place: int) -> None:
    """Raise DataError if a column holds 0 and 1 in nearly all rows, for that is a mistake."""
    strange = [row for row in sheet.rows if row.cells[place].casefold() not in YES | NO]
    if len(strange) > max(1, MISTAKES * len(sheet.rows)) or 2 * len(strange) > len(sheet.rows):
        return
    more = f" (and {plural(len(strange) - 1, 'more row')})" if len(strange) > 1 else ""
    raise DataError(
        f"{sheet.path}: column {sheet.header[place]!r} is 0 or 1, but row {strange[0].number} "
        f"has {strange[0].cells[place]!r}{more}: write 0 or 1"
    )
