"""One setting: what it may be, how a value is held to that, and how it is read from what was typed.

What it may be stands in its type: a plain type (float), words (Literal["sgd", "adamw"]), or a number or a word
(int | Literal["auto"]). A setting at "auto" is open, and decided by the others, the data or the machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args, get_origin

from convscope.errors import RunError, did_you_mean

Auto: TypeAlias = Literal["auto"]
AUTO: Final = "auto"
SettingValue: TypeAlias = bool | int | float | str
Plain = TypeVar("Plain", bool, int, float)
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


def about(help: str, group: str, *, at_least: float | None = None, below: float | None = None) -> dict[str, Any]:
    """What the command line and the check need to know of a setting; `below` is a limit that is not reached."""
    return {"help": help, "group": group, "at_least": at_least, "below": below}


@dataclass(frozen=True)
class Kinds:
    """What a setting may be: one plain type (bool, int, float or str), and words."""

    type: type[Any]
    words: tuple[str, ...]

    @classmethod
    def of(cls, hint: Any) -> Kinds:
        """What a type hint allows.

        >>> Kinds.of(int | Literal["auto"])
        Kinds(type=<class 'int'>, words=('auto',))
        """
        if get_origin(hint) is Literal:
            return cls(str, get_args(hint))
        plain = [part for part in get_args(hint) if isinstance(part, type)] or [hint]
        words = [word for part in get_args(hint) if get_origin(part) is Literal for word in get_args(part)]
        return cls(plain[0], tuple(words))

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that the setting is limited to; empty where it is a number, a switch or free text."""
        return self.words if self.type is str else ()

    @property
    def placeholder(self) -> str:
        """What `--help` shows in the place of the value: INTEGER|auto, yes|no, crop|letterbox|squash."""
        plain = {bool: "yes|no", int: "INTEGER", float: "NUMBER", str: "" if self.words else "TEXT"}[self.type]
        return "|".join(filter(None, [plain, *self.words]))

    def read(self, text: str) -> SettingValue:
        """The value that was typed: "12", "auto", "yes"; text that is none stays what it is, for `checked` to refuse.

        >>> Kinds.of(bool).read("yes"), Kinds.of(int | Literal["auto"]).read("12"), Kinds.of(int).read("twelve")
        (True, 12, 'twelve')
        """
        if text in self.words:
            return text
        word = text.strip().lower()
        if self.type is bool and word in TRUE_WORDS + FALSE_WORDS:
            return word in TRUE_WORDS
        if self.type in (int, float):
            with suppress(ValueError):
                return int(word) if self.type is int else float(word)
        return text


def checked(name: str, value: object, kinds: Kinds, limits: Mapping[str, Any]) -> SettingValue:
    """The value of a setting, an int as a float where one is needed; `limits` is what `about` says.

    Raises:
        RunError: a value of the wrong kind or out of range; the message names the setting and its limits.
    """
    if isinstance(value, str) and value in kinds.words:
        return value
    needed = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kinds.type]
    if kinds.choices:
        raise RunError(
            f"{name} is {value!r}: it is one of {', '.join(kinds.words)}.{did_you_mean(str(value), kinds.words)}"
        )
    or_word = "".join(f", or {word}" for word in kinds.words)
    if kinds.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kinds.type:
        raise RunError(f"{name} is {value!r}: it must be {needed}{or_word}")
    assert isinstance(value, (bool, int, float, str))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = limits["at_least"], limits["below"]
        if isinstance(value, float) and not math.isfinite(value):
            raise RunError(f"{name} is {value}: it must be a finite number{or_word}")
        if low is not None and value < low:
            raise RunError(f"{name} is {value}: it must be at least {low}{or_word}")
        if high is not None and value >= high:
            raise RunError(f"{name} is {value}: it must be below {high}{or_word}")
    return value


def plain(value: Plain | Auto) -> Plain:
    """The value of a setting that is no longer at auto.

    >>> plain(0.5)
    0.5
    """
    assert not isinstance(value, str), "the recipe is not settled yet"
    return value


def taken(value: Plain | Auto, otherwise: Plain) -> Plain:
    """The value of a setting, or what stands for auto.

    >>> taken("auto", 3), taken(5, 3)
    (3, 5)
    """
    return otherwise if isinstance(value, str) else value
