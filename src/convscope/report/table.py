"""Tables: one record, set in a terminal or (by `report.html`) on a page. A number is never cut short.

Cells are text already: `report.units` is where numbers become ink.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TextIO

from convscope.report.printable import printable

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from convscope.files.checked import Json

GAP = "  "
_RICH_GAP = 3  # between the columns of rich's SIMPLE_HEAD: a cell of padding on each side of a blank rule
NARROWEST_TEXT = 12  # a text column is not folded below this many characters

Role = Literal["body", "total", "group", "faint"]
Cell = str | tuple[str, "Json"]  # a text, or a text with what it stands for


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Args:
        header: its name.
        numeric: whether it holds numbers: set flush right, never folded.
        note: a tool-tip for the header.
        page_only: whether a document leaves it out in a terminal, for lack of room.
    """

    header: str
    numeric: bool = False
    note: str = ""
    page_only: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", printable(self.header))


@dataclass(frozen=True, slots=True)
class Row:
    """One cell per column.

    Args:
        cells: texts.
        role: how it is set: a group's heading, a total, or something of less weight.
        values: the values of the cells, if JSON has a better form than their texts; nothing, or one per cell.
    """

    cells: tuple[str, ...]
    role: Role = "body"
    values: tuple[Json, ...] = ()

    @classmethod
    def of(cls, cells: Sequence[Cell], role: Role = "body") -> Row:
        """Return a row of cells, each a text or a pair of a text and its value.

        >>> Row.of(["fc", ("513,000", 513_000)])
        Row(cells=('fc', '513,000'), role='body', values=('fc', 513000))
        """
        pairs = [(cell, cell) if isinstance(cell, str) else cell for cell in cells]
        return cls(tuple(text for text, _ in pairs), role, tuple(value for _, value in pairs))

    def __post_init__(self) -> None:
        # A cell is one line, and no class name in it steers the terminal.
        if not all(cell.isprintable() for cell in self.cells):
            object.__setattr__(self, "cells", tuple(map(printable, self.cells)))


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows, with a title above.

    Raises:
        AssertionError: a row whose cells are not one per column (our mistake, never the user's).
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""

    def __post_init__(self) -> None:
        assert all(len(row.cells) == len(self.columns) for row in self.rows), "a cell per column"
        assert all(len(row.values) in (0, len(row.cells)) for row in self.rows), "a value per cell, or none"
        object.__setattr__(self, "title", printable(self.title))

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, title: str = "") -> Table:
        """Return a table of plain rows; a cell is a text, or a pair of a text and its value."""
        return cls(tuple(columns), tuple(map(Row.of, rows)), title)

    def on_pages(self, columns: Sequence[Column]) -> Table:
        """Return the table with these columns left out of documents in a terminal."""
        return replace(self, columns=tuple(replace(c, page_only=c in columns) for c in self.columns))

    def narrow(self) -> Table:
        """Return the table without the columns that are for pages only."""
        kept = [i for i, column in enumerate(self.columns) if not column.page_only]
        if len(kept) == len(self.columns):
            return self
        rows = [Row(tuple(row.cells[i] for i in kept), row.role) for row in self.rows]
        return Table(tuple(self.columns[i] for i in kept), tuple(rows), self.title)


def display_width(text: str) -> int:
    """Terminal cells that a text takes: wide East Asian characters two, combining marks and joiners none.

    >>> display_width("3×224"), display_width("画像"), display_width("ที่")
    (5, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in unicodedata.normalize("NFC", text)
    )


def table_text(table: Table) -> str:
    """Return the table as plain lines at its natural width: for files, pipes and tests.

    >>> print(table_text(Table.of([Column("layer"), Column("parameters", numeric=True)],
    ...                           [("conv1", "9,408"), ("fc", "513,000")])))
    layer  parameters
    -----  ----------
    conv1       9,408
    fc        513,000
    """
    widths = _natural_widths(table)
    lines = [table.title] if table.title else []
    lines.append(_line([c.header for c in table.columns], table.columns, widths))
    rule = GAP.join("-" * width for width in widths)
    lines.append(rule)
    for row in table.rows:
        if row.role == "total":
            lines.append(rule)
        lines.append(_line(row.cells, table.columns, widths))
    return "\n".join(lines)


def print_table(table: Table, *, file: TextIO | None = None) -> None:
    """Print the table: with rich on a terminal, as plain lines elsewhere."""
    stream = file or sys.stdout
    if not stream.isatty():
        print(table_text(table), file=stream)
        return
    from rich.console import Console

    wanted = sum(_folded_widths(table)) + _RICH_GAP * len(table.columns)
    width = max(shutil.get_terminal_size().columns, wanted)
    # A table of numbers wider than the terminal is printed whole: the terminal wraps it, nothing is cut.
    Console(file=stream, width=width, highlight=False).print(rich_table(table))


def rich_table(table: Table) -> RichTable:
    """Return the table as a rich renderable: number columns are never folded; text columns fold when they must."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(
        title=Text(table.title) if table.title else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
        show_edge=False,
    )
    for column, width in zip(table.columns, _folded_widths(table), strict=True):
        made.add_column(
            Text(column.header),
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric,
            overflow="fold",
            min_width=width,
        )
    styles = {"body": "", "total": "bold", "group": "cyan", "faint": "dim"}
    for row in table.rows:
        if row.role == "total":
            made.add_section()
        made.add_row(*(Text(cell) for cell in row.cells), style=styles[row.role])
    return made


def _natural_widths(table: Table) -> list[int]:
    return [
        max([display_width(column.header), *(display_width(row.cells[i]) for row in table.rows)])
        for i, column in enumerate(table.columns)
    ]


def _folded_widths(table: Table) -> list[int]:
    """Return the least widths that cut no number: text columns may fold."""
    return [
        width if column.numeric else min(width, NARROWEST_TEXT)
        for column, width in zip(table.columns, _natural_widths(table), strict=True)
    ]


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        space = " " * (width - display_width(cell))
        padded.append(space + cell if column.numeric else cell + space)
    return GAP.join(padded).rstrip()
