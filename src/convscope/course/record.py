"""Records: the numbers that a widget shows, by name, each with the choices that it may be asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from convscope.errors import ArgumentError, did_you_mean
from convscope.report.short_repr import ShortRepr

_FILES = ("images", "layers", "learned_kernel", "shifted", "volumes", "shifting", "trained", "history", "step")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WidgetRecord(ShortRepr):
    """How a record is made.

    Args:
        make: returns it as JSON's types; given the choices by name.
        choices: of each setting the values that it may have, the default first. A static course holds the record for
            every combination.
    """

    make: Callable[..., dict[str, Any]]
    choices: Mapping[str, tuple[str, ...]]

    def headline(self) -> str:
        """Return its settings."""
        return ", ".join(self.choices) or "no settings"

    def combinations(self) -> Iterator[dict[str, str]]:
        """Give every combination of the choices, that of the defaults first."""
        for values in product(*self.choices.values()):
            yield dict(zip(self.choices, values, strict=True))


@cache
def records() -> Mapping[str, WidgetRecord]:
    """Return all records by their names."""
    found: dict[str, WidgetRecord] = {}
    for file in _FILES:
        found |= importlib.import_module(f"convscope.course.records.{file}").RECORDS
    return found


def make_record(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a record for the settings given; the others have their defaults.

    Raises:
        ArgumentError: there is no such record or setting, or a value is not among its choices.

    >>> make_record("edge-images", {})["kernels"]["vertical"]
    [[1, 0, -1], [1, 0, -1], [1, 0, -1]]
    """
    record = records().get(name)
    if record is None:
        raise ArgumentError(f"there is no record {name[:40]!r}.{did_you_mean(name, list(records()))}")
    unknown = next((key for key in given if key not in record.choices), None)
    if unknown is not None:
        raise ArgumentError(f"{name} has no setting {unknown[:40]!r}: it has {record.headline()}")
    settings = {key: given.get(key, values[0]) for key, values in record.choices.items()}
    for key, value in settings.items():
        if value not in record.choices[key]:
            raise ArgumentError(f"{key} is {value[:40]!r}: it must be one of {', '.join(record.choices[key])}")
    return record.make(**settings)
