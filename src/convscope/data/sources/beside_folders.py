"""A folder that holds a table and folders of images: which of the two says the classes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.data.groups import is_group_name
from convscope.data.source_options import SourceOptions
from convscope.data.sources.columns import find_columns, find_images
from convscope.data.sources.image_finder import has_image_ending
from convscope.data.sources.labelling import read_labels
from convscope.data.sources.reading import Reading
from convscope.data.sources.recognize import recognized
from convscope.data.sources.sheet import read_sheet
from convscope.data.sources.tree import Branch
from convscope.errors import DataError
from convscope.report.printable import few, shell_quote
from convscope.report.usage import settings_text

# Rows that are looked at to compare a table with folders.
SAMPLE = 400


@dataclass(frozen=True)
class ListingTable:
    """A table that names images: a sample of these with their classes; none are known where there is a `trouble`.

    `columns` are the cells of each column that can name classes, of the same rows.
    """

    path: Path
    files: tuple[str, ...]
    shown: tuple[frozenset[str], ...]
    columns: tuple[tuple[str, ...], ...]
    trouble: str = ""

    @property
    def classes(self) -> list[str]:
        """The classes of the sample, by name."""
        return sorted(frozenset[str]().union(*self.shown))


def tables_of_images(tables: Sequence[Path], options: SourceOptions) -> list[ListingTable]:
    """Return those of some tables whose rows name image files; the others list something else, or are damaged."""
    return [found for table in tables if (found := _listing(table, options)) is not None]


def _listing(table: Path, options: SourceOptions) -> ListingTable | None:
    try:
        sheet, place, finder = find_images(read_sheet(str(table)), options)
        some = sheet.rows[:: max(1, len(sheet.rows) // SAMPLE)]
        found = {row: finder.find(row.cells[place]) for row in some}
    except DataError:
        return None
    there = [row for row, (path, status) in found.items() if has_image_ending(path) and not isinstance(status, OSError)]
    if 2 * len(there) <= len(some):
        return None
    files = tuple(os.path.realpath(found[row][0]) for row in there)
    # A folder for each patient is no class, though a column names the patients.
    places = [place for place, name in enumerate(sheet.header) if not is_group_name(name)]
    columns = tuple(tuple(row.cells[place] for row in there) for place in places)
    try:
        sheet, found_columns, _ = find_columns(sheet, options)
        labelling = read_labels(sheet, found_columns, options)
    except DataError as error:
        return ListingTable(table, files, (), columns, str(error))
    shown = dict(zip(sheet.rows, labelling.shown, strict=True))
    return ListingTable(table, files, tuple(shown[row] for row in there), columns)


def table_beside(root: Branch, tables: Sequence[Path], options: SourceOptions) -> Path | None:
    """Return the table by which a folder is read, or None where its folders are the classes.

    They are where no table lists their images with classes, or where each says the same as they do. Else folders that
    differ in their numbers alone, such as part_1 and part_2, are parts of what the only table lists.

    Raises:
        DataError: both readings are possible, and differ.
    """
    listing = [table for table in tables_of_images(tables, options) if "no column of labels" not in table.trouble]
    try:
        reading = recognized(root)
    except DataError:
        if len(listing) == 1 and not listing[0].trouble:
            return listing[0].path
        raise
    others = [table for table in listing if not _says_the_same(table, reading)]
    if not others:
        return None
    first = others[0]
    if len(listing) == 1 and _are_parts(root):
        return first.path
    labels = f"whose labels are {few(first.classes)}" if not first.trouble else "which lists the images"
    names = sorted({name for classes in reading.classes.values() for name in classes})
    raise DataError(
        f"{root.shown} can be read in two ways: by {first.path.name}, {labels} (give {shell_quote(first.path)}), or as "
        f"the classes {few(names)} (add {settings_text(layout=str(reading.layout))})"
    )


def _says_the_same(table: ListingTable, reading: Reading) -> bool:
    """Return whether a column of a table names the classes of the folders, one name for each; or lists other images."""
    folders = {
        os.path.realpath(path): name
        for classes in reading.classes.values()
        for name, paths in classes.items()
        for path in paths
    }
    by_folder = [
        next((folders[str(up)] for up in Path(file).parents if str(up) in folders), "") for file in table.files
    ]
    if 2 * sum(map(bool, by_folder)) <= len(by_folder):
        return True
    return any(_is_one_to_one(by_folder, said) for said in (table.shown, *table.columns) if said)


def _is_one_to_one(folders: Sequence[str], said: Sequence[object]) -> bool:
    pairs = {pair for pair in zip(folders, said, strict=True) if pair[0]}
    return len(pairs) > 1 and len({folder for folder, _ in pairs}) == len({name for _, name in pairs}) == len(pairs)


def _are_parts(root: Branch) -> bool:
    """Return whether the folders of images have one name but for their numbers, two or more of which differ."""
    names = [branch.name.casefold() for branch in root.below]
    alike = {re.sub(r"\d+", "#", name) for name in names}
    return len(names) > 1 and len(alike) == 1 and bool(re.search(r"[^\W\d_]", names[0]))
