"""The fields of a JSON object or TOML table, each taken by its name, type and range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from convscope.errors import did_you_mean
from convscope.files.regular import UnreadableError

Item = TypeVar("Item")
LONGEST_SHOWN = 40
_MISSING = object()


@dataclass(frozen=True)
class Fields:
    """The fields of an object; `place` is the prefix of their names in errors, such as "network.".

    A field that is missing, of another type or out of range raises UnreadableError with its name, the value found and
    the values allowed. Where `default` is given, a field may be missing.

    >>> fields = Fields({"epoch": 3, "network": {"in_channels": -1}})
    >>> fields.integer("epoch", at_least=0)
    3
    >>> fields.object("network").integer("in_channels", at_least=1)
    Traceback (most recent call last):
    ...
    convscope.files.regular.UnreadableError: network.in_channels is -1: it must be a whole number of at least 1
    """

    values: Mapping[str, Any]
    place: str = ""

    @classmethod
    def of(cls, value: object, place: str = "") -> Fields:
        """Return the fields of a value that must be an object."""
        if not isinstance(value, dict):
            what = place.rstrip(".") or "it"
            raise UnreadableError(f'{what} is {in_short(value)}: it must be an object, {{"name": value, ...}}')
        return cls(value, place)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def require_only(self, *known: str) -> None:
        """Raise UnreadableError for a field whose name is not among `known`."""
        for name in self.values:
            if name not in known:
                raise UnreadableError(f"it has a field {in_short(self.place + name)}.{did_you_mean(name, known)}")

    def require_format(self, reads: int, *, remedy: str) -> None:
        """Raise UnreadableError unless the file is of this version's format; `remedy` makes it anew.

        >>> Fields({"format": 1}).require_format(2, remedy="redo it")
        Traceback (most recent call last):
        ...
        convscope.files.regular.UnreadableError: it has format 1, of an older convscope: redo it, or use that version
        """
        version = self.integer("format", at_least=1)
        if version < reads:
            raise UnreadableError(f"it has format {version}, of an older convscope: {remedy}, or use that version")
        if version > reads:
            raise UnreadableError(f"it has format {version}, and this convscope reads {reads}: update convscope")

    def value(self, name: str) -> Any:
        """Return the value of a field, of any type."""
        return self._value(name, _MISSING)

    def text(self, name: str, *, default: str | None = None, one_of: Sequence[str] = ()) -> str:
        """Return a string, which must be among `one_of` if that is not empty."""
        value = self._value(name, _MISSING if default is None else default)
        return _text(value, self.place + name, one_of)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._value(name, _MISSING)
        if not isinstance(value, bool):
            _refuse(self.place + name, value, "true or false")
        return value

    def integer(self, name: str, *, at_least: int | None = None, at_most: int | None = None) -> int:
        """Return a whole number in a range, both ends included."""
        return _integer(self._value(name, _MISSING), self.place + name, at_least, at_most)

    def number(self, name: str, *, at_least: float | None = None, at_most: float | None = None) -> float:
        """Return a finite number in a range, both ends included."""
        return _number(self._value(name, _MISSING), self.place + name, at_least, at_most)

    def optional_number(self, name: str) -> float | None:
        """Return a finite number, or None where the field is null."""
        return None if self._value(name, _MISSING) is None else self.number(name)

    def object(self, name: str) -> Fields:
        """Return the fields of a nested object."""
        return Fields.of(self._value(name, _MISSING), f"{self.place}{name}.")

    def objects(self, name: str) -> list[Fields]:
        """Return the objects of a list."""
        return self._list(name, lambda value, place: Fields.of(value, f"{place}."))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list."""
        return tuple(self._list(name, lambda value, place: _text(value, place, ())))

    def integers(self, name: str, *, at_least: int | None = None, at_most: int | None = None) -> tuple[int, ...]:
        """Return the whole numbers of a list, each in a range."""
        return tuple(self._list(name, lambda value, place: _integer(value, place, at_least, at_most)))

    def numbers(self, name: str, *, at_least: float | None = None, at_most: float | None = None) -> tuple[float, ...]:
        """Return the finite numbers of a list, each in a range."""
        return tuple(self._list(name, lambda value, place: _number(value, place, at_least, at_most)))

    def pairs(self, name: str, *, at_least: int, at_most: int) -> list[tuple[int, int]]:
        """Return the pairs of whole numbers of a list, each number in a range."""

        def pair(value: Any, place: str) -> tuple[int, int]:
            if not isinstance(value, list) or len(value) != 2:
                _refuse(place, value, "a list of two whole numbers")
            first, second = (_integer(number, place, at_least, at_most) for number in value)
            return first, second

        return self._list(name, pair)

    def _list(self, name: str, take: Callable[[Any, str], Item]) -> list[Item]:
        value = self._value(name, _MISSING)
        if not isinstance(value, list):
            _refuse(self.place + name, value, "a list")
        return [take(item, f"{self.place}{name}[{number}]") for number, item in enumerate(value)]

    def _value(self, name: str, default: Any) -> Any:
        value = self.values.get(name, default)
        if value is _MISSING:
            raise UnreadableError(f"it has no {self.place}{name}")
        return value


def in_short(value: object) -> str:
    """Return the first characters of a value's repr, for an error.

    >>> in_short(3), in_short("a" * 100)
    ('3', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'")
    """
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST_SHOWN else f"{value[: LONGEST_SHOWN - 3]}...")
    if isinstance(value, dict):
        return f"an object of {len(value):,} fields"
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else repr(value)
    )


def _text(value: Any, place: str, one_of: Sequence[str]) -> str:
    if not isinstance(value, str):
        _refuse(place, value, "a text")
    if one_of and value not in one_of:
        near = did_you_mean(value, one_of)
        _refuse(place, value, f"one of {', '.join(one_of)}{'.' if near else ''}{near}")
    return value


def _integer(value: Any, place: str, at_least: int | None, at_most: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(place, value, f"a whole number{_range(at_least, at_most)}")
    _require_range(value, place, "a whole number", at_least, at_most)
    return value


def _number(value: Any, place: str, at_least: float | None, at_most: float | None) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        _refuse(place, value, f"a finite number{_range(at_least, at_most)}")
    _require_range(value, place, "a finite number", at_least, at_most)
    return float(value)


def _require_range(value: float, place: str, kind: str, at_least: float | None, at_most: float | None) -> None:
    if (at_least is not None and value < at_least) or (at_most is not None and value > at_most):
        _refuse(place, value, f"{kind}{_range(at_least, at_most)}")


def _range(at_least: float | None, at_most: float | None) -> str:
    if at_least is not None and at_most is not None:
        return f" from {at_least:,} to {at_most:,}"
    if at_least is not None:
        return f" of at least {at_least:,}"
    return "" if at_most is None else f" of at most {at_most:,}"


def _refuse(place: str, value: object, needed: str) -> NoReturn:
    raise UnreadableError(f"{place} is {in_short(value)}: it must be {needed}")
