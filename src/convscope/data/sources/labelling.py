"""Read the labels of a table: a column of one class or several, or a column of 0 and 1 for each class."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from convscope.data.class_names import look_alikes
from convscope.data.listing import class_order
from convscope.data.source_options import NO_SEPARATOR, SEPARATORS, SourceOptions
from convscope.data.sources.columns import SheetColumns
from convscope.data.sources.hot_columns import YES
from convscope.data.sources.label_columns import MANY_LABELS, ONE_LABEL
from convscope.data.sources.sheet import Sheet, SheetRow, plain_name
from convscope.errors import DataError
from convscope.report.printable import few
from convscope.report.units import plural
from convscope.report.usage import settings_text

# What programs write in place of an empty cell.
EMPTY = frozenset({"", "nan", "n/a", "#n/a", "null"})
# A list, tuple or set of texts, or an empty one, as Python and JSON write it; and one of anything.
_LIST = re.compile(r"[\[({]\s*(['\"].*['\"],?\s*)?[\])}]", re.DOTALL)
_LIST_OF_ANY = re.compile(rf"{_LIST.pattern}|\[[^\[\]]*\]|{{[^{{}}]*}}|\([^()]*,[^()]*\)", re.DOTALL)
# What tells lists from words in brackets, such as [done]; one of the cells has it.
_OF_LISTS = re.compile(r"[,'\"]|[\[{][\d\s.]*[\]}]")
# Of numbers and words in one column, what is less than this share of the rows is a mistake.
MISTAKES = 0.05


@dataclass(frozen=True)
class Labelling:
    """The classes, those of each row, whether a row may have several or none, and notes for the user."""

    classes: tuple[str, ...]
    shown: tuple[frozenset[str], ...]
    several: bool
    notes: tuple[str, ...]


def read_labels(
    sheet: Sheet,
    columns: SheetColumns,
    options: SourceOptions,
    *,
    to_learn: bool = True,
    earlier: tuple[str, ...] = (),
) -> Labelling:
    """Return the classes of each row, at least two of them if they are to be learned, in the order of `class_order`.

    Where each row has exactly one class in columns that might hold several, an image has one class; if nothing is to be
    learned, that is left open.

    Raises:
        DataError: labels that are empty, of two kinds, or that look alike; or two ways to read them.
    """
    notes: list[str] = []
    if columns.classes:
        heads = {place: _class_name(sheet.header[place]) for place in columns.classes}
        several = True
        shown = [
            frozenset(heads[place] for place in columns.classes if row.cells[place].casefold() in YES)
            for row in sheet.rows
        ]
        present = frozenset[str]().union(*shown)
        order = [name for name in heads.values() if name in present]
        if absent := [name for name in heads.values() if name not in present]:
            notes.append(f"no image shows {few(absent)}: what is 0 everywhere is no class")
    else:
        shown, several = _of_texts(sheet, columns, options, notes, earlier)
        order = list(class_order(frozenset().union(*shown), earlier=earlier))
    left_open = to_learn and len(order) > 1 and options.label_separator in ("", NO_SEPARATOR)
    if several and left_open and all(len(names) == 1 for names in shown):
        several = False
        notes.append("each image has one label: one class an image")
    _check_names(sheet, order)
    if not order:
        raise DataError(f"{sheet.path}: no image has a label")
    if to_learn:
        _check_enough(sheet, order, shown, several=several)
    if columns.unread:
        notes.append(f"columns that were not read: {few(columns.unread, most=8)}")
    return Labelling(tuple(order), tuple(shown), several, tuple(notes))


def _of_texts(
    sheet: Sheet, columns: SheetColumns, options: SourceOptions, notes: list[str], earlier: tuple[str, ...]
) -> tuple[list[frozenset[str]], bool]:
    """Return the names of classes in each row, and whether a row may have several or none."""
    if len(columns.labels) > 1:
        notes.append(f"several labels of an image stand in {few(sheet.header[place] for place in columns.labels)}")
        cells = [[row.cells[place] for place in columns.labels] for row in sheet.rows]
        return [frozenset(_class_name(cell) for cell in row if cell.casefold() not in EMPTY) for row in cells], True
    (place,) = columns.labels
    word = options.label_separator
    several = plain_name(sheet.header[place]) in MANY_LABELS
    if word == NO_SEPARATOR:
        return _one_each(sheet, columns, notes), False
    if not word:
        _refuse_lists(sheet, place, several=several)
        sign = _separator(sheet, place, several=several, earlier=earlier)
    else:
        sign = SEPARATORS[word]
    if sign is None and not several:
        return _one_each(sheet, columns, notes), False
    if sign is not None:
        shown = "blanks (for names of two words, write a b|c)" if sign == " " else sign
        notes.append(f"several labels of an image are separated by {shown}")
    cells_ = sheet.column(place)
    parts = [cell.split() if sign == " " else [cell] if sign is None else cell.split(sign) for cell in cells_]
    return [frozenset(name for name in map(_class_name, part) if name.casefold() not in EMPTY) for part in parts], True


def _refuse_lists(sheet: Sheet, place: int, *, several: bool) -> None:
    """Raise DataError if the cells of a column are lists: split at commas they would be "['cat'" and "'dog']".

    pandas writes columns of lists so. Numbers in brackets are refused where a cell has several labels alone.
    """
    form = _LIST_OF_ANY if several else _LIST
    stated = [row for row in sheet.rows if row.cells[place].casefold() not in EMPTY]
    lists = [row for row in stated if form.fullmatch(row.cells[place])]
    if len(lists) == len(stated) and any(_OF_LISTS.search(row.cells[place]) for row in lists):
        first = " ".join(lists[0].cells[place].split())
        raise DataError(
            f"{sheet.path}: {sheet.header[place]} holds lists, such as {first:.60} in row {lists[0].number}: "
            "write cat|dog, in pandas column.str.join('|')"
        )


def _separator(sheet: Sheet, place: int, *, several: bool, earlier: tuple[str, ...]) -> str | None:
    """Return what separates several labels in a column's cells, or None; raises DataError where both can be meant.

    A column `labels` may hold any of SEPARATORS, another column | alone, which no class's name has. Blanks separate
    labels if there are fewer words than different cells, and belong to names if there are more; but `earlier` classes
    decide.
    """
    cells = set(sheet.column(place))
    if not several:
        by_name = plain_name(sheet.header[place]) in ONE_LABEL
        return "|" if not by_name and any("|" in cell for cell in cells) else None
    for sign in SEPARATORS.values():
        if sign != " " and any(sign in cell for cell in cells):
            return sign
    wholes = {" ".join(cell.split()) for cell in cells} - {""}
    words = {word for whole in wholes for word in whole.split()}
    if all(" " not in whole for whole in wholes):
        return None
    if wholes <= set(earlier):
        return None
    if words <= set(earlier) or "" in cells or len(words) < len(wholes):
        return " "
    if len(words) > len(wholes):
        return None
    name = sheet.header[place]
    raise DataError(
        f"{sheet.path}: {name} is one class an image ({few(sorted(wholes), most=3)}), or several with blanks between "
        f"({few(sorted(words), most=3)}): {settings_text(label_separator='none')} or "
        f"{settings_text(label_separator='blank')}"
    )


def _one_each(sheet: Sheet, columns: SheetColumns, notes: list[str]) -> list[frozenset[str]]:
    """Return the one class of each row; raises DataError for a row without one, or with one of another kind."""
    (place,) = columns.labels
    empty = [row for row in sheet.rows if row.cells[place].casefold() in EMPTY]
    if empty:
        raise DataError(
            f"{sheet.path}: row {empty[0].number} has no label{_of(len(empty))}: write one, or take the row out "
            "(in a column named labels an image may have none)"
        )
    if any("|" in cell for cell in sheet.column(place)):
        bar = settings_text(label_separator="bar")
        notes.append(f"some labels hold |: where it separates several labels of an image, give {bar}")
    if not columns.stated:
        _check_kinds(sheet, place)
    return [frozenset({_class_name(row.cells[place])}) for row in sheet.rows]


def _check_kinds(sheet: Sheet, place: int) -> None:
    """Raise DataError for a few words among numbers, numbers among words, or 1.0 among 1."""
    counts = Counter(sheet.column(place))
    kinds: dict[str, Counter[str]] = {}
    for cell, count in counts.items():
        kinds.setdefault(_kind(cell), Counter())[cell] = count
    alike = sorted(kinds.items(), key=lambda item: item[1].total())
    if len(alike) < 2:
        return
    (few_kind, strange), (most_kind, usual) = alike[0], alike[-1]
    mixed = {few_kind, most_kind} == {"a whole number", "a number with a point"}
    if not mixed and (strange.total() > max(1, MISTAKES * len(sheet.rows)) or len(usual) < 2):
        return
    first = next(row for row in sheet.rows if row.cells[place] in strange)
    raise DataError(
        f"{sheet.path}: row {first.number} has the label {first.cells[place]!r}, {few_kind}{_of(strange.total())}, "
        f"where others have {most_kind}: mend it, "
        f"or give {settings_text(label_column=sheet.header[place])} if both are meant"
    )


def _kind(cell: str) -> str:
    if re.fullmatch(r"[+-]?\d{1,40}", cell):
        return "a whole number"
    return "a number with a point" if re.fullmatch(r"[+-]?\d{1,40}\.\d{1,40}", cell) else "a name"


def _class_name(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _check_names(sheet: Sheet, classes: list[str]) -> None:
    for first, second in look_alikes(classes):
        raise DataError(
            f"{sheet.path} has two classes whose names differ in case or accents only, "
            f"{first!r} and {second!r}: write both alike, or rename one"
        )


def _check_enough(sheet: Sheet, classes: list[str], shown: list[frozenset[str]], *, several: bool) -> None:
    if len(classes) > 1:
        return
    if not several:
        raise DataError(f"{sheet.path} has one class only, {classes[0]!r}: a classifier needs two or more")
    if all(shown):
        raise DataError(f"{sheet.path}: every image shows {classes[0]!r}, the only class: add images without it")


def conflict(sheet: Sheet, first: SheetRow, second: SheetRow) -> DataError:
    """Return the error for two rows with different labels for one image."""
    return DataError(
        f"{sheet.path}: rows {first.number} and {second.number} give one image different labels or splits: keep one "
        "row for an image (several labels go into one row, in a column labels: a|b)"
    )


def _of(count: int) -> str:
    return f" (and {plural(count - 1, 'more row')})" if count > 1 else ""
