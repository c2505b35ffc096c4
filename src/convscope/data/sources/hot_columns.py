"""Columns of 0 and 1 in a table, each of which is a class: what such a column holds, and what is a mistake in it."""

from __future__ import annotations

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
