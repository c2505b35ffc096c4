"""Labels that the caller holds: integers, names, or a row of 0 and 1 for each image; as classes and their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.data.listing import WHOLE, class_order
from convscope.data.pixels.numbers import is_numbers, numbers_of
from convscope.data.records import SEVERAL, Labels, Targets
from convscope.errors import DataError, did_you_mean
from convscope.files.regular import UnreadableError
from convscope.report.printable import few
from convscope.report.units import plural

FORMS = "integers (N,), names, or 0 and 1 of each class (N, classes)"


@dataclass(frozen=True)
class GivenLabels:
    """The classes, the label of each row, and for several labels an image its targets."""

    classes: tuple[str, ...]
    labels: Labels
    targets: Targets | None = None


def read_given_labels(
    given: Mapping[str, Any],
    counts: Mapping[str, int],
    *,
    classes: Sequence[str] | None,
    to_learn: bool,
    earlier: tuple[str, ...],
) -> GivenLabels:
    """Return the labels of every split, one after the other; `counts` are the numbers of images.

    Raises:
        DataError: labels of another kind or length, of unknown classes, or of one class only.
    """
    of = {split: "" if split == WHOLE else f"{split}: " for split in given}
    arrays = {split: _array(labels, f"{of[split]}labels") for split, labels in given.items()}
    for split, array in arrays.items():
        if not counts[split]:
            raise DataError(f"{of[split]}there are no images")
        if len(array) != counts[split]:
            numbers = f"{plural(counts[split], 'image')}, but {plural(len(array), 'label')}"
            raise DataError(f"{of[split]}{numbers}: give one for each image")
    if len({(array.ndim, array.dtype.kind == "U", array.shape[1:]) for array in arrays.values()}) > 1:
        raise DataError("the splits are labelled in different ways: give all of them labels of one kind")
    named = None if classes is None else _named(classes)
    whole = np.concatenate(list(arrays.values()))
    found = _several(whole, named, earlier) if whole.ndim == 2 else _one_each(whole, named, earlier)
    if to_learn:
        _check_learned(found, {split: len(array) for split, array in arrays.items()})
    return found


def _array(labels: Any, what: str) -> Array:
    """Return labels as int64 (N,), text (N,) or uint8 (N, classes)."""
    try:
        if is_numbers(labels):
            array = numbers_of(labels)
        else:
            array = _of_items([numbers_of(item) if is_numbers(item) else item for item in labels])
    except (TypeError, ValueError, OverflowError, UnreadableError):
        raise DataError(f"{what}: a {type(labels).__name__} that is no array of one kind: give {FORMS}") from None
    if array.dtype == object and array.ndim == 1 and all(isinstance(item, str) for item in array):
        array = array.astype(str)
    if array.ndim == 1 and array.dtype.kind in "biuU":
        if array.dtype.kind == "u" and len(array) and int(array.max()) >= 2**63:
            raise DataError(f"{what}: the largest is {int(array.max())}, and a label is below 2**63")
        return array if array.dtype.kind == "U" else array.astype(np.int64)
    if array.ndim == 2 and array.dtype.kind in "biuf" and array.shape[1] > 1:
        if not np.isin(array, (0, 1)).all():
            raise DataError(f"{what}: an array {array.shape} of other numbers than 0 and 1: give {FORMS}")
        return array.astype(np.uint8)
    raise DataError(f"{what}: an array of {array.dtype} {array.shape}: give {FORMS}")


def _of_items(items: list[Any]) -> Array:
    texts = sum(isinstance(item, str) for item in items)
    if 0 < texts < len(items):
        raise TypeError("names among numbers")  # NumPy would make names of all of them
    return np.asarray(items) if items else np.zeros(0, np.int64)


def _named(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes; raises DataError unless they are two or more different texts."""
    if isinstance(classes, str) or not all(isinstance(name, str) and name.strip() for name in classes):
        raise DataError(f"classes: {classes!r} is no list of names")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise DataError(f"classes: give two different names or more, not {few(classes) or 'none'}")
    return tuple(classes)


def _one_each(labels: Array, classes: tuple[str, ...] | None, earlier: tuple[str, ...]) -> GivenLabels:
    """Return one label for each image, by its name or its number."""
    if labels.dtype.kind != "U":
        # A run's classes that are no numbers were named, so that its labels are places among them.
        places = classes or (earlier if earlier and not all(_is_number(name) for name in earlier) else None)
        if places is not None:
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= len(places):
                raise DataError(f"labels of {low} to {high}, and {len(places)} classes: labels are places, from 0")
            return GivenLabels(places, labels)
    values, rows = np.unique(labels, return_inverse=True)
    names = [str(value).strip() for value in values]
    if not all(names):
        raise DataError("a label is an empty text: name the class of each image")
    classes = classes or class_order(names, earlier=earlier)
    if strangers := [name for name in names if name not in classes]:
        raise DataError(
            f"labels that are not among the classes: {few(strangers)}.{did_you_mean(strangers[0], classes)}"
        )
    place = np.array([classes.index(name) for name in names], np.int64)
    return GivenLabels(classes, place[rows.reshape(-1)])


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def _several(targets: Targets, classes: tuple[str, ...] | None, earlier: tuple[str, ...]) -> GivenLabels:
    """Return a row of 0 and 1 for each image, whose columns are the classes."""
    columns = targets.shape[1]
    names = classes or (earlier if len(earlier) == columns else tuple(map(str, range(columns))))
    if len(names) != columns:
        raise DataError(f"labels of {columns} columns, and {len(names)} classes: give a name for each column")
    return GivenLabels(names, np.full(len(targets), SEVERAL, np.int64), np.ascontiguousarray(targets))


def _check_learned(found: GivenLabels, counts: Mapping[str, int]) -> None:
    """Raise DataError for one class only, or one that no training image shows."""
    learned = next(iter(counts.values()))
    if len(found.classes) == 1:
        raise DataError(f"the labels are of one class only, {found.classes[0]!r}: a classifier needs two or more")
    if found.targets is None:
        shown: Iterable[Any] = np.bincount(found.labels[:learned], minlength=len(found.classes))
    else:
        shown = found.targets[:learned].sum(0)
    if missing := [name for name, count in zip(found.classes, shown, strict=True) if not count]:
        raise DataError(f"no training image shows {few(missing)}: add some, or leave the class out")
