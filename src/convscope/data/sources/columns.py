"""Find the columns of a table: of images, labels, splits and groups, by what they hold and what they are called."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.data.layout import SPLIT_NAMES
from convscope.data.source_options import SourceOptions
from convscope.data.sources.hot_columns import is_hot, refuse_uncertain
from convscope.data.sources.image_finder import ImageFinder, find_folders, has_image_ending
from convscope.data.sources.label_columns import IMAGE, MOST_COLUMNS, NEEDED, label_columns
from convscope.data.sources.sheet import Sheet, SheetRow, found_columns, plain_name
from convscope.errors import DataError, did_you_mean
from convscope.report.usage import settings_text

# These are what is meant where no column names a file.
ALSO_IMAGE = ("filepaths", "filenames", "images", "image_id", "image_name", "img", "id_code", "id")
SPLIT = ("split", "set")
ALSO_SPLIT = ("data_set", "dataset", "subset", "partition", "fold")
# Cells of a column that are looked at to see whether they name files.
SAMPLE = 48


@dataclass(frozen=True, kw_only=True)
class SheetColumns:
    """The places of a table's columns: `labels` hold names of classes, `classes` 0 and 1; one of the two is empty.

    `stated` says whether the columns of labels were named by the user, `unread` are the names of the others.
    """

    image: int
    labels: tuple[int, ...]
    classes: tuple[int, ...]
    split: int | None
    group: int | None
    stated: bool
    unread: tuple[str, ...]


def find_columns(
    sheet: Sheet, options: SourceOptions, *, earlier: Sequence[str] = ()
) -> tuple[Sheet, SheetColumns, ImageFinder]:
    """Return the table, whose first row may be no header, its columns, and what finds its images.

    Of two columns that say the same, the one with names is that of labels, unless `earlier` classes are the numbers.

    Raises:
        DataError: a column that is not there, that of images or of labels among them; or several that can be meant.
    """
    sheet, image, finder = find_images(sheet, options)
    names = [plain_name(name) for name in sheet.header]
    if len(set(names)) < len(names):
        counts = Counter(filter(None, names))
        again = next((place for place, name in reversed(list(enumerate(names))) if counts[name] > 1), None)
        if again is not None:
            raise DataError(f"{sheet.path} has two columns {sheet.header[again]!r}: keep one")
    group = _stated(sheet, "group_column", options.group_column)[0] if options.group_column else None
    said = _stated(sheet, "label_column", options.label_column) if options.label_column else ()
    split = _split_column(sheet, names, {image, group, *said})
    taken = {image, split, group}
    others = [place for place, name in enumerate(names) if name and place not in taken]
    if said:
        hot = len(said) > 1 and all(is_hot(sheet, place) for place in said)
        if len(said) > 1:
            refuse_uncertain(sheet, said)
        labels, classes = ((), said) if hot else (said, ())
    else:
        labels, classes = label_columns(sheet, names, others, group, earlier)
    unread = tuple(sheet.header[place] for place in others if place not in (*labels, *classes))
    columns = SheetColumns(
        image=image,
        labels=labels,
        classes=classes,
        split=split,
        group=group,
        stated=bool(options.label_column),
        unread=unread,
    )
    return sheet, columns, finder


def find_images(sheet: Sheet, options: SourceOptions) -> tuple[Sheet, int, ImageFinder]:
    """Return the table, whose first row may be no header, the place of its column of images, and what finds these.

    Raises:
        DataError: there is none, or several can be meant.
    """
    if _begins_with_image(sheet.header):
        sheet = sheet.without_header()
    image, finder = _image_column(sheet, options)
    if sheet.has_header and finder.names(sheet.header[image]):
        sheet = sheet.without_header()
    return sheet, image, finder


def _begins_with_image(cells: Sequence[str]) -> bool:
    return any(map(has_image_ending, cells))


def _stated(sheet: Sheet, option: str, text: str) -> tuple[int, ...]:
    """Return the places of the columns that an option names: one, or several separated by commas."""
    whole = _place_of(sheet, text)
    if whole is not None:
        return (whole,)
    found = []
    for name in text.split(","):
        place = _place_of(sheet, name)
        if place is None:
            near = did_you_mean(name.strip(), sheet.header)
            raise DataError(
                f"{sheet.path} has no column {name.strip()!r} ({option}), only {found_columns(sheet)}.{near}"
            )
        found.append(place)
    if len(found) > 1 and option != "label_column":
        raise DataError(f"{option} {text}: name one column")
    if len(set(found)) < len(found):
        raise DataError(f"{option} {text}: a column is named twice")
    return tuple(found)


def _place_of(sheet: Sheet, text: str) -> int | None:
    """Return the place of the column with a name, or with a number, from 1."""
    names = [plain_name(name) for name in sheet.header]
    if plain_name(text) in names:
        return names.index(plain_name(text))
    number = text.strip()
    return int(number) - 1 if number.isdecimal() and len(number) < 6 and 0 < int(number) <= len(names) else None


def _image_column(sheet: Sheet, options: SourceOptions) -> tuple[int, ImageFinder]:
    """Return the column of images and what finds them; raises DataError if there is none, or two can be meant."""
    table = Path(sheet.path)

    def finding(place: int) -> tuple[ImageFinder, bool]:
        cells = [row.cells[place] for row in _some(sheet)]
        finder, count = find_folders(table, cells, folder=options.image_folder, ending=options.image_ending)
        return finder, 2 * count > len(cells)

    if options.image_column:
        (place,) = _stated(sheet, "image_column", options.image_column)
        return place, finding(place)[0]
    names = [plain_name(name) for name in sheet.header]
    by_name = [names.index(name) for name in IMAGE if name in names]
    others = (place for place in range(len(names)) if place not in by_name and _is_distinct(sheet, place))
    for places in (by_name, itertools.islice(others, MOST_COLUMNS)):
        found = {place: finding(place) for place in places}
        fitting = {place: finder for place, (finder, fits) in found.items() if fits}
        if fitting:
            return _one_reading(sheet, fitting)
    for name in (*IMAGE, *ALSO_IMAGE):
        if name in names:
            return names.index(name), finding(names.index(name))[0]
    raise DataError(f"{sheet.path} has no column of images (found: {found_columns(sheet)}): {NEEDED}")


def _some(sheet: Sheet) -> tuple[SheetRow, ...]:
    """Return a few rows from all over a table."""
    return sheet.rows[:: max(1, len(sheet.rows) // SAMPLE)]


def _is_distinct(sheet: Sheet, place: int) -> bool:
    """Return whether most cells of a column differ, as names of images do, and are not measurements."""
    if all(_has_point(row.cells[place]) for row in _some(sheet)):
        return False
    return 2 * len(set(sheet.column(place))) > len(sheet.rows)


def _has_point(cell: str) -> bool:
    return re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", cell.casefold()) is not None


def _one_reading(sheet: Sheet, fitting: dict[int, ImageFinder]) -> tuple[int, ImageFinder]:
    """Return the first column that names files; raises DataError if another names others."""
    (first, finder), *more = fitting.items()
    rows = _some(sheet)
    for place, other in more:
        if any(finder.find(row.cells[first])[0] != other.find(row.cells[place])[0] for row in rows):
            both = [sheet.header[first], sheet.header[place]]
            files = [rows[0].cells[first], rows[0].cells[place]]
            raise DataError(
                f"{sheet.path}: {both[0]} ({files[0]}, ...) and {both[1]} ({files[1]}, ...) both name files: "
                f"{settings_text(image_column=both[0])} or {settings_text(image_column=both[1])}"
            )
    return first, finder


def _split_column(sheet: Sheet, names: list[str], taken: Collection[int | None]) -> int | None:
    """Return the place of the column of splits, none of those that are taken for something else."""
    places = [names.index(name) for name in (*SPLIT, *ALSO_SPLIT) if name in names]
    for place in places if sheet.has_header else range(len(names)):
        is_named = sheet.has_header and names[place] in SPLIT
        if place not in taken and (is_named or all(cell.casefold() in SPLIT_NAMES for cell in sheet.column(place))):
            return place
    return None
