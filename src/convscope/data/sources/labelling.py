"""Read the labels of a table: a column of one class or several, or a column of 0 and 1 for each class."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from convscope.data.listing import class_order
from convscope.data.sources.sheet import Sheet, SheetRow, plain_name
from convscope.errors import DataError
from convscope.report.units import plural

IMAGE = ("image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path")
ONE_LABEL = ("label", "class")
MANY_LABELS = ("labels", "tags")
SPLIT = ("split", "set")
NEEDED = (
    "what is needed is a header with image (or path, file, filename) and label (one class), labels (several: a|b), "
    "or a column of 0 and 1 for each class"
)

# The first of these that stands in any cell separates the labels; blanks do where there is none.
SEPARATORS = ("|", ";", ",")
_YES, _NO = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})


@dataclass(frozen=True)
class SheetColumns:
    """The columns of a table; `classes` are those of 0 and 1, if there is no column of labels."""

    image: int
    split: int | None
    label: int | None
    labels: int | None
    classes: tuple[int, ...]
    unread: tuple[str, ...]

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.label is None


@dataclass(frozen=True)
class Labelling:
    """The classes, those of each row, and notes for the user."""

    classes: tuple[str, ...]
    shown: tuple[frozenset[str], ...]
    notes: tuple[str, ...]


def find_columns(sheet: Sheet) -> SheetColumns:
    """Return the columns by their names; raises DataError if there is none of images, or none of labels."""
    names = [plain_name(name) for name in sheet.header]
    for place, name in enumerate(names):
        if name and name in names[:place]:
            raise DataError(f"{sheet.path} has two columns {sheet.header[place]!r}: keep one")
    there = ", ".join(name or "(no name)" for name in sheet.header[:12])
    there += ", ..." if len(sheet.header) > 12 else ""
    image = _place(names, IMAGE)
    if image is None:
        raise DataError(f"{sheet.path} has no column of images (found: {there}): {NEEDED}")
    said = [place for name in (*ONE_LABEL, *MANY_LABELS) for place in (_place(names, (name,)),) if place is not None]
    if len(said) > 1:
        both = " and ".join(sheet.header[place] for place in said[:2])
        raise DataError(f"{sheet.path} has both {both}: keep one, label for one class, labels for several")
    label, labels, split = _place(names, ONE_LABEL), _place(names, MANY_LABELS), _place(names, SPLIT)
    taken = {image, split, label, labels}
    others = [place for place, name in enumerate(names) if name and place not in taken]
    classes = () if said else tuple(place for place in others if names[place] not in IMAGE and _is_class(sheet, place))
    if not said and not classes:
        raise DataError(f"{sheet.path} has no column of labels (found: {there}): {NEEDED}")
    unread = tuple(sheet.header[place] for place in others if place not in classes)
    return SheetColumns(image, split, label, labels, classes, unread)


def _place(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _is_class(sheet: Sheet, place: int) -> bool:
    """Return whether a column holds 0 and 1 only; raises DataError for one that nearly does, as that is a mistake."""
    if re.fullmatch(r"unnamed:_\d+", plain_name(sheet.header[place])):  # the row numbers that pandas writes
        return False
    strange = [row for row in sheet.rows if row.cells[place].casefold() not in _YES | _NO]
    if not strange:
        return True
    if len(strange) > len(sheet.rows) / 2:
        return False
    raise DataError(
        f"{sheet.path}: column {sheet.header[place]!r} is 0 or 1, but row {strange[0].number} "
        f"has {strange[0].cells[place]!r}{_of(len(strange))}: write 0 or 1"
    )


def read_labels(
    sheet: Sheet, columns: SheetColumns, *, to_learn: bool = True, earlier: tuple[str, ...] = ()
) -> Labelling:
    """Return the classes of each row, at least two of them if they are to be learned, in the order of `class_order`.

    Raises DataError for labels that are empty, or that look alike.
    """
    notes: list[str] = []
    if columns.label is not None:
        shown = _one_each(sheet, columns.label, notes)
        order = list(class_order(frozenset().union(*shown), earlier=earlier))
    elif columns.labels is not None:
        shown = _several(sheet, columns.labels, notes)
        order = list(class_order(frozenset().union(*shown), earlier=earlier))
    else:
        heads = {place: _class_name(sheet.header[place]) for place in columns.classes}
        shown = [
            frozenset(heads[place] for place in columns.classes if row.cells[place].casefold() in _YES)
            for row in sheet.rows
        ]
        present = set().union(*shown)
        order = [name for name in heads.values() if name in present]
        if absent := [name for name in heads.values() if name not in present]:
            notes.append(f"no image shows {', '.join(absent[:5])}: what is 0 everywhere is no class")
    _check_names(sheet, order)
    if not order:
        raise DataError(f"{sheet.path}: no image has a label")
    if to_learn:
        _check_enough(sheet, order, shown, several=columns.multi_label)
    if columns.unread:
        notes.append(f"columns that were not read: {', '.join(columns.unread[:8])}")
    return Labelling(tuple(order), tuple(shown), tuple(notes))


def _one_each(sheet: Sheet, place: int, notes: list[str]) -> list[frozenset[str]]:
    empty = [row for row in sheet.rows if not row.cells[place]]
    if empty:
        raise DataError(
            f"{sheet.path}: row {empty[0].number} has no label{_of(len(empty))}: write one, or take the row out "
            "(in a column named labels an image may have none)"
        )
    if any("|" in cell for cell in sheet.column(place)):
        notes.append("some labels hold |: where it separates several labels of an image, name the column labels")
    return [frozenset({_class_name(row.cells[place])}) for row in sheet.rows]


def _several(sheet: Sheet, place: int, notes: list[str]) -> list[frozenset[str]]:
    cells = sheet.column(place)
    sign = next((sign for sign in SEPARATORS if any(sign in cell for cell in cells)), None)
    if sign is not None:
        notes.append(f"several labels of an image are separated by {sign}")
        parts = [cell.split(sign) for cell in cells]
    else:
        parts = [cell.split() for cell in cells]
        if any(len(part) > 1 for part in parts):
            notes.append("several labels of an image are separated by blanks (for names of two words, write a b|c)")
    return [frozenset(name for name in map(_class_name, part) if name) for part in parts]


def _class_name(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _check_names(sheet: Sheet, classes: list[str]) -> None:
    folded: dict[str, str] = {}
    for name in classes:
        key = unicodedata.normalize("NFC", name.casefold())
        if key in folded:
            raise DataError(
                f"{sheet.path} has two classes whose names differ in case or accents only, "
                f"{folded[key]!r} and {name!r}: write both alike, or rename one"
            )
        folded[key] = name


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
