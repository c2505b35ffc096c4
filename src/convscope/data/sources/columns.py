"""Find the columns of a table: of images, labels, splits and groups, by what they hold and what they are called."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.data.groups import is_group_name
from convscope.data.layout import SPLIT_NAMES
from convscope.data.source_options import SourceOptions
from convscope.data.sources.image_finder import ImageFinder, find_folders, has_image_ending
from convscope.data.sources.sheet import Sheet, SheetRow, plain_name
from convscope.errors import DataError, did_you_mean
from convscope.report.printable import few
from convscope.report.units import plural
from convscope.report.usage import setting_name, settings_text

IMAGE = ("image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path")
# These are what is meant where no column names a file.
ALSO_IMAGE = ("filepaths", "filenames", "images", "image_id", "image_name", "img", "id_code", "id")
ONE_LABEL = ("label", "class")
MANY_LABELS = ("labels", "tags")
ALSO_LABEL = ("target", "category", "diagnosis", "dx", "class_name", "classname", "label_name")
SPLIT = ("split", "set")
ALSO_SPLIT = ("data_set", "dataset", "subset", "partition", "fold")
# Words that a column of labels has in its name, where it has no name of those above.
LABEL_WORDS = frozenset(["label", "labels", "class", "classes", "category", "diagnosis", "diagnostic"])
YES, NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})
# In a column of these and 1 alone, as of attributes, the image does not show the class.
MINUS = frozenset({"-1", "-1.0"})
# Cells of a column that are looked at to see whether they name files.
SAMPLE = 48
# Columns that are looked at for images, and for labels, where no name says which they are.
MOST_COLUMNS = 24
# In a column of 0 and 1, other values than in this share of the rows, or in one, are no mistake.
MISTAKES = 0.05
NEEDED = (
    "what is needed is a column that names the images, and label (one class), labels (several: a|b), or a column of 0 "
    "and 1 for each class"
)


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


def find_columns(sheet: Sheet, options: SourceOptions) -> tuple[Sheet, SheetColumns, ImageFinder]:
    """Return the table, whose first row may be no header, its columns, and what finds its images.

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
    split = _split_column(sheet, names, image)
    group = _stated(sheet, "group_column", options.group_column)[0] if options.group_column else None
    taken = {image, split, group}
    others = [place for place, name in enumerate(names) if name and place not in taken]
    if options.label_column:
        said = _stated(sheet, "label_column", options.label_column)
        hot = len(said) > 1 and all(_is_hot(sheet, place) for place in said)
        if len(said) > 1:
            _refuse_uncertain(sheet, said)
        labels, classes = ((), said) if hot else (said, ())
    else:
        labels, classes = _label_columns(sheet, names, others, group)
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


def found_columns(sheet: Sheet, most: int = 12) -> str:
    """Return the names of a table's columns, for a message."""
    there = ", ".join(name or "(no name)" for name in sheet.header[:most])
    return there + (", ..." if len(sheet.header) > most else "")


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


def _split_column(sheet: Sheet, names: list[str], image: int) -> int | None:
    for name in SPLIT:
        if name in names:
            return names.index(name)
    there = range(len(names)) if not sheet.has_header else [names.index(name) for name in ALSO_SPLIT if name in names]
    for place in there:
        if place != image and all(cell.casefold() in SPLIT_NAMES for cell in sheet.column(place)):
            return place
    return None


def _label_columns(
    sheet: Sheet, names: list[str], others: list[int], group: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the columns of names of classes and those of 0 and 1, one of which is empty; raises DataError."""
    said = [names.index(name) for name in (*ONE_LABEL, *MANY_LABELS) if name in names]
    said = [place for place in said if place in others]
    if len(said) > 1:
        raise _several(sheet, said)
    if said:
        return tuple(said), ()
    others = [
        place for place in others if names[place] not in IMAGE and not re.fullmatch(r"unnamed:_\d+", names[place])
    ]
    numbered = [place for place in others if re.fullmatch(r"(label|class|tag)s?_?\d+", names[place])]
    if len(numbered) > 1 and not all(_is_hot(sheet, place) for place in numbered):
        return tuple(numbered), ()
    hot = [place for place in others if _is_hot(sheet, place)]
    for place in others:
        if hot and place not in hot:
            _refuse_mistakes(sheet, place)
    _refuse_uncertain(sheet, others)
    more = [place for place in others if not is_group_name(sheet.header[place])][:MOST_COLUMNS]
    usual = [place for place in more if _is_label_name(names[place]) and _can_be_labels(sheet, place)]
    if len(hot) > 1:
        # Where an image may have several of them or none, columns of 0 and 1 may be facts beside a column of labels.
        named = [place for place in (usual if _is_one_hot(sheet, hot) else (*usual, *more)) if place not in hot]
        words = [place for place in named if _can_be_labels(sheet, place) and not _is_numeric(sheet, place)]
        if words:
            raise _labels_or_hot(sheet, words[0], hot)
        return (), tuple(hot)
    others = more
    fitting = _without_twins(sheet, usual or [place for place in others if _can_be_labels(sheet, place)])
    if len(fitting) > 1:
        raise _several(sheet, fitting)
    if fitting:
        return tuple(fitting), ()
    if hot:
        return (), tuple(hot)
    kept = "" if group is None else f" beside {sheet.header[group]!r} of the groups"
    raise DataError(
        f"{sheet.path} has no column of labels{kept} (found: {found_columns(sheet)}): {NEEDED}, "
        f"or {setting_name('label_column')}"
    )


def _is_label_name(name: str) -> bool:
    """Return whether a column's name says that it holds labels.

    >>> _is_label_name("dx"), _is_label_name("finding_labels"), _is_label_name("age")
    (True, True, False)
    """
    return name in ALSO_LABEL or not LABEL_WORDS.isdisjoint(re.split(r"[\W_]+", name))


def _can_be_labels(sheet: Sheet, place: int) -> bool:
    """Return whether a column's values repeat, as classes do: two or more, in at most half as many as rows."""
    return 2 <= len(set(sheet.column(place))) <= len(sheet.rows) / 2


def _is_one_hot(sheet: Sheet, hot: Sequence[int]) -> bool:
    """Return whether exactly one of the columns of 0 and 1 is 1 in each row."""
    return all(sum(row.cells[place].casefold() in YES for place in hot) == 1 for row in sheet.rows)


def _is_numeric(sheet: Sheet, place: int) -> bool:
    return all(_is_number(cell) for cell in set(sheet.column(place)))


def _without_twins(sheet: Sheet, places: list[int]) -> list[int]:
    """Return the columns without those that say the same in other words, like numbers beside names of classes."""
    found: list[int] = []
    for place in sorted(places, key=lambda place: _is_numeric(sheet, place)):
        cells = sheet.column(place)
        twin = next((other for other in found if _say_the_same(cells, sheet.column(other))), None)
        if twin is None:
            found.append(place)
    return sorted(found)


def _say_the_same(first: Sequence[str], second: Sequence[str]) -> bool:
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d{1,40}(\.\d{1,40})?", text) is not None


def _several(sheet: Sheet, places: Sequence[int]) -> DataError:
    """Return the error for several columns that can be the labels: two of them, with what they hold."""
    shown = [f"{sheet.header[place]} ({_values(sheet.column(place))})" for place in places[:2]]
    options = " or ".join(settings_text(label_column=sheet.header[place]) for place in places[:2])
    more = "both" if len(places) == 2 else f"and {plural(len(places) - 2, 'more column')}"
    return DataError(f"{sheet.path}: {shown[0]} and {shown[1]} {more} can be the labels: {options}")


def _labels_or_hot(sheet: Sheet, place: int, hot: Sequence[int]) -> DataError:
    """Return the error for a column that is called like labels beside columns of 0 and 1, which may be facts alone."""
    name, heads = sheet.header[place], [sheet.header[each] for each in hot]
    return DataError(
        f"{sheet.path}: {name} ({_values(sheet.column(place))}) can be the labels, and {few(heads, most=3)}, of 0 and "
        f"1, too: {settings_text(label_column=name)} or {settings_text(label_column=','.join(heads))}"
    )


def _values(cells: Iterable[str]) -> str:
    values = sorted(set(cells))
    return f"{len(values):,} values: {few(values, most=3)}" if len(values) > 3 else ", ".join(values)


def _is_hot(sheet: Sheet, place: int) -> bool:
    """Return whether a column holds 0 and 1 only, or -1 and 1."""
    cells = {cell.casefold() for cell in set(sheet.column(place))}
    return cells <= YES | NO or cells <= YES | MINUS


def _refuse_uncertain(sheet: Sheet, places: Sequence[int]) -> None:
    """Raise DataError if columns hold 1, 0 and what is neither, -1 or nothing: an image shows a class or does not."""
    found = []
    for place in places:
        cells = {cell.casefold() for cell in set(sheet.column(place))}
        if cells <= YES | NO | MINUS | {""} and cells & YES and not _is_hot(sheet, place):
            found.append(place)
    if len(found) > 1:
        raise DataError(
            f"{sheet.path}: {few(sheet.header[place] for place in found)} hold 1, 0, and -1 or nothing in some rows: "
            f"write 0 or 1 there, or name other columns, {setting_name('label_column')}"
        )


def _refuse_mistakes(sheet: Sheet, place: int) -> None:
    """Raise DataError if a column holds 0 and 1 in nearly all rows, for that is a mistake."""
    strange = [row for row in sheet.rows if row.cells[place].casefold() not in YES | NO]
    if len(strange) > max(1, MISTAKES * len(sheet.rows)) or 2 * len(strange) > len(sheet.rows):
        return
    more = f" (and {plural(len(strange) - 1, 'more row')})" if len(strange) > 1 else ""
    raise DataError(
        f"{sheet.path}: column {sheet.header[place]!r} is 0 or 1, but row {strange[0].number} "
        f"has {strange[0].cells[place]!r}{more}: write 0 or 1"
    )
