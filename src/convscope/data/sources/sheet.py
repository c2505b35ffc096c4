"""Read a CSV file of any dialect as a header and rows; errors name the row.

Rows are counted as in a spreadsheet: the header is row 1, and empty rows count.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from convscope.errors import DataError
from convscope.files.regular import FILE_LIMIT, refused_as
from convscope.files.text import read_text
from convscope.report.units import plural

# Excel writes semicolons where the comma is the decimal sign.
DELIMITERS = (",", ";", "\t")
ENDINGS = (".csv", ".tsv")
# What the delimiter is judged by.
FIRST_LINES, FIRST_CHARACTERS = 20, 2**16


@dataclass(frozen=True)
class SheetRow:
    """One row: its number, and a stripped cell for each column."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A table of text, and its path; columns without a header are called 1, 2, ..."""

    path: str
    header: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    header_number: int = 1
    has_header: bool = True

    def column(self, place: int) -> list[str]:
        """Return the cells of one column."""
        return [row.cells[place] for row in self.rows]

    def without_header(self) -> Sheet:
        """Return the table with its header as the first row."""
        first = SheetRow(self.header_number, self.header)
        numbers = tuple(str(number) for number in range(1, len(self.header) + 1))
        return Sheet(self.path, numbers, (first, *self.rows), has_header=False)


def plain_name(text: str) -> str:
    """Normalise a column's name: case, blanks and hyphens don't matter.

    >>> plain_name("File Name")
    'file_name'
    """
    return text.strip().casefold().replace(" ", "_").replace("-", "_")


def read_sheet(path: str) -> Sheet:
    """Read a table; the delimiter is the one that makes the most columns of its first lines, alike in each.

    Raises DataError if the file is no table of text, or a row does not match its header.
    """
    with refused_as(DataError, path):
        text = read_text(path, limit=FILE_LIMIT)
    first, _, after = text.partition("\n")
    # Excel's own line above the header.
    if first.strip(" \r").casefold() in {f"sep={sign}" for sign in DELIMITERS}:
        delimiter, text, start = first.strip(" \r")[4:], after, 2
    else:
        delimiter, start = _delimiter(text), 1
    found = _parsed(text, delimiter, path, start)
    if not found:
        raise DataError(f"{path} is empty: what is needed is a header, and a row for each image")
    header = tuple(cell.strip() for cell in found[0].cells)
    rows = tuple(_fitted(row, len(header), path) for row in found[1:])
    if not rows:
        raise DataError(f"{path} has a header and no row: what is needed is a row for each image")
    return Sheet(path, header, rows, header_number=found[0].number)


def _delimiter(text: str) -> str:
    """Return the sign that makes the most columns of the header, and as many of the lines after it."""
    lines = [line for line in text[:FIRST_CHARACTERS].splitlines() if line.strip()][:FIRST_LINES]

    def columns(sign: str) -> tuple[bool, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=sign, skipinitialspace=True)]
        except csv.Error:
            return False, 0
        # The last row may be cut in the middle.
        alike = len(set(counts[:-1])) <= 1 or len(counts) < 3
        return alike and counts[0] > 1, counts[0]

    return max(DELIMITERS, key=columns) if lines else DELIMITERS[0]


def _parsed(text: str, delimiter: str, path: str, start: int) -> list[SheetRow]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[SheetRow] = []
    number = start - 1
    try:
        for cells in reader:
            number += 1
            if any(cell.strip() for cell in cells):
                rows.append(SheetRow(number, tuple(cell.strip() for cell in cells)))
    except csv.Error as error:
        raise DataError(f"{path}: row {number + 1} can't be read: {error}") from None
    return rows


def _fitted(row: SheetRow, columns: int, path: str) -> SheetRow:
    """Remove the empty cells that some programs add at the end of a row."""
    if len(row.cells) < columns or any(row.cells[columns:]):
        lacks = "give each column a cell, which may be empty"
        do = lacks if len(row.cells) < columns else "a comma inside a cell needs quotes around the cell"
        raise DataError(
            f"{path}: row {row.number} has {plural(len(row.cells), 'cell')}, and the header {columns}: {do}"
        )
    return row if len(row.cells) == columns else SheetRow(row.number, row.cells[:columns])


def found_columns(sheet: Sheet, most: int = 12) -> str:
    """Return the names of a table's columns, for a message."""
    there = ", ".join(name or "(no name)" for name in sheet.header[:most])
    return there + (", ..." if len(sheet.header) > most else "")
