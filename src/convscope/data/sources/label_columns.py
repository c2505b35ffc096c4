"""Find the columns of labels of a table: those of names of classes, or those of 0 and 1, a class each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from convscope.data.groups import is_group_name
from convscope.data.sources.hot_columns import is_hot, is_one_hot, refuse_mistakes, refuse_soft, refuse_uncertain
from convscope.data.sources.sheet import Sheet, found_columns, plain_name
from convscope.errors import DataError
from convscope.report.printable import few
from convscope.report.units import plural
from convscope.report.usage import setting_name, settings_text

IMAGE = ("image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path")
ONE_LABEL = ("label", "class")
MANY_LABELS = ("labels", "tags")
ALSO_LABEL = ("target", "category", "diagnosis", "dx", "class_name", "classname", "label_name")
# Words that a column of labels has in its name, where it has no name of those above.
LABEL_WORDS = frozenset(["label", "labels", "class", "classes", "category", "diagnosis", "diagnostic"])
# Columns that are looked at for images, and for labels, where no name says which they are.
MOST_COLUMNS = 24
NEEDED = (
    "what is needed is a column that names the images, and label (one class), labels (several: a|b), or a column of 0 "
    "and 1 for each class"
)


def label_columns(
    sheet: Sheet, names: list[str], others: list[int], group: int | None, earlier: Sequence[str]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the columns of names of classes and those of 0 and 1, one of which is empty; raises DataError."""
    said = [names.index(name) for name in (*ONE_LABEL, *MANY_LABELS) if name in names]
    said = [place for place in said if place in others]
    said = _without_twins(sheet, said)
    if len(said) > 1:
        raise _several(sheet, said)
    if said:
        return (_named_twin(sheet, said[0], others, earlier),), ()
    others = [
        place for place in others if names[place] not in IMAGE and not re.fullmatch(r"unnamed:_\d+", names[place])
    ]
    numbered = [place for place in others if re.fullmatch(r"(label|class|tag)s?_?\d+", names[place])]
    if len(numbered) > 1 and not all(is_hot(sheet, place) for place in numbered):
        return tuple(numbered), ()
    more = [place for place in others if not is_group_name(sheet.header[place])][:MOST_COLUMNS]
    usual = [place for place in more if _is_label_name(names[place]) and _can_be_labels(sheet, place)]
    if not (usual or any(_can_be_labels(sheet, place) and not _is_numeric(sheet, place) for place in more)):
        refuse_soft(sheet, others)
    hot = [place for place in others if is_hot(sheet, place)]
    for place in others:
        if hot and place not in hot:
            refuse_mistakes(sheet, place)
    refuse_uncertain(sheet, others)
    if len(hot) > 1:
        # Where an image may have several of them or none, columns of 0 and 1 may be facts beside a column of labels.
        named = [place for place in (usual if is_one_hot(sheet, hot) else (*usual, *more)) if place not in hot]
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
    none = f"{sheet.path} has no column of labels"
    if group is not None:
        name = sheet.header[group]
        none = f"{sheet.path}: {settings_text(group_column=name)} takes {name!r} as groups, and no other is of labels"
    raise DataError(f"{none} (found: {found_columns(sheet)}): {NEEDED}, or {setting_name('label_column')}")


def _is_label_name(name: str) -> bool:
    """Return whether a column's name says that it holds labels.

    >>> _is_label_name("dx"), _is_label_name("finding_labels"), _is_label_name("age")
    (True, True, False)
    """
    return name in ALSO_LABEL or not LABEL_WORDS.isdisjoint(re.split(r"[\W_]+", name))


def _can_be_labels(sheet: Sheet, place: int) -> bool:
    """Return whether a column's values repeat, as classes do: two or more, in at most half as many as rows."""
    return 2 <= len(set(sheet.column(place))) <= len(sheet.rows) / 2


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


def _named_twin(sheet: Sheet, place: int, others: Sequence[int], earlier: Sequence[str]) -> int:
    """Return the column with the names of the classes that a column of labels numbers, else that column."""
    cells = sheet.column(place)
    if not _is_numeric(sheet, place) or set(cells) <= set(earlier):
        return place
    for other in others:
        # Of two classes many a fact says the same by chance.
        likely = len(set(cells)) > 2 or _is_label_name(plain_name(sheet.header[other]))
        if likely and not (_is_numeric(sheet, other) or is_hot(sheet, other)):
            names = sheet.column(other)
            if all(names) and _say_the_same(cells, names):
                return other
    return place


def _say_the_same(first: Sequence[str], second: Sequence[str]) -> bool:
    return 1 < len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d{1,40}(\.\d{1,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", text) is not None


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
