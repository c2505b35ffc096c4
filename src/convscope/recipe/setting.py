"""One setting: its type and limits, the check of a value, and how a value is read from text.

The type hint has what it may be: a plain type (float), words (Literal["sgd", "adamw"]), or a number or a word
(int | Literal["auto"]). A setting at "auto" is resolved by the others, the data or the machine.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import Field, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, get_args, get_origin

from convscope.api.annotations import SEEDS, as_plain, described
from convscope.data.records import LARGEST_SIDE
from convscope.errors import RunError, did_you_mean
from convscope.files.checked import parse_toml
from convscope.files.fields import in_short
from convscope.files.regular import UnreadableError

if TYPE_CHECKING:
    from convscope.report.table import Table

Auto: TypeAlias = Literal["auto"]
AUTO: Final = "auto"
SettingValue: TypeAlias = bool | int | float | str
Plain = TypeVar("Plain", bool, int, float)
# More trainings than this are a typing mistake.
MOST_TRAININGS = 100_000
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")


def setting(
    default: SettingValue,
    help: str,
    group: str,
    *,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    advanced: bool = False,
) -> Any:
    """Return the dataclass field of a setting, with what the command line and the check need as its metadata.

    Args:
        default: its default.
        help: one line on what it does.
        group: its heading.
        at_least: the smallest value.
        below: a limit that is not reached.
        at_most: the largest value.
        advanced: the command line lists it with `--help-all` alone; its auto is right for nearly every run.
    """
    metadata = {
        "help": help,
        "group": group,
        "at_least": at_least,
        "below": below,
        "at_most": at_most,
        "advanced": advanced,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Kinds:
    """The values that a setting may have: one plain type (bool, int, float or str), and words."""

    type: type[Any]
    words: tuple[str, ...]

    @classmethod
    def of(cls, hint: Any) -> Kinds:
        """Return what a type hint allows.

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
        """Return the words that the setting is limited to; empty where it is a number, a switch or free text."""
        return self.words if self.type is str else ()

    @property
    def placeholder(self) -> str:
        """Return what `--help` shows for the value: INTEGER|auto, yes|no, crop|letterbox|squash."""
        plain = {bool: "yes|no", int: "INTEGER", float: "NUMBER", str: "" if self.words else "TEXT"}[self.type]
        return "|".join(filter(None, [plain, *self.words]))

    def read(self, text: str) -> SettingValue:
        """Return the value of a text: "12", "auto", "yes"; what is none stays text, for `checked` to refuse.

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
    """Return the value of a setting in its own type, also of a path or of NumPy's; `limits` is `setting`'s metadata.

    Raises:
        RunError: a value of the wrong kind or out of range; the message names the setting and its limits.
    """
    value = as_plain(value, kinds.type)
    if isinstance(value, str) and value in kinds.words:
        return str(value)
    if kinds.type is str and not kinds.words and isinstance(value, os.PathLike):
        value = os.fspath(value)
    needed = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kinds.type]
    if kinds.choices:
        near = did_you_mean(value, kinds.words) if isinstance(value, str) else ""
        raise RunError(f"{name} is {described(value)}: it is one of {', '.join(kinds.words)}.{near}")
    or_word = "".join(f", or {word}" for word in kinds.words)
    if name == "model" and not isinstance(value, str):
        raise RunError(
            f"model is {described(value)}: give the name of a network, such as 'lenet5' or 'timm/resnet18', or of a "
            "function or class in a file of yours that makes one, such as 'net.py:make'"
        )
    if type(value) is not kinds.type:
        raise RunError(f"{name} is {described(value)}: it must be {needed}{or_word}")
    assert isinstance(value, (bool, int, float, str))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = limits["at_least"], limits["below"]
        if isinstance(value, float) and not math.isfinite(value):
            raise RunError(f"{name} is {value}: it must be a finite number{or_word}")
        if low is not None and value < low:
            raise RunError(f"{name} is {described(value)}: it must be at least {low}{or_word}")
        if high is not None and value >= high:
            raise RunError(f"{name} is {described(value)}: it must be below {high}{or_word}")
        if (most := limits["at_most"]) is not None and value > most:
            raise RunError(f"{name} is {described(value)}: it must be at most {most:,}{or_word}")
        if isinstance(value, int) and abs(value) >= SEEDS:
            raise RunError(f"{name} is {described(value)}: it must be below {SEEDS}{or_word}")
    return value


def plain(value: Plain | Auto) -> Plain:
    """Return the value of a setting that is not at auto.

    >>> plain(0.5)
    0.5
    """
    assert not isinstance(value, str), "the recipe is not resolved yet"
    return value


def value_or(value: Plain | Auto, otherwise: Plain) -> Plain:
    """Return the value of a setting, or `otherwise` in the place of auto.

    >>> value_or("auto", 3), value_or(5, 3)
    (3, 5)
    """
    return otherwise if isinstance(value, str) else value


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of "32" or "32x48"; raise RunError for another text.

    >>> parse_size("32"), parse_size("32x48")
    ((32, 32), (32, 48))
    """
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(re.fullmatch(r"\s*\d{1,18}\s*", part) for part in parts):
        raise RunError(
            f"image_size {in_short(text)} is not a size in pixels: write it like 32, or 32x48 (height x width), or auto"
        )
    height, width = int(parts[0]), int(parts[-1])
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise RunError(f"image_size {text} has a side outside 1 to {LARGEST_SIDE} pixels")
    return height, width


def parse_options(text: str) -> dict[str, object]:
    """Return a network's own settings of "variant=notes,width=2"; raise RunError for another text.

    >>> parse_options("variant=notes,width=2,bias=true")
    {'variant': 'notes', 'width': 2, 'bias': True}
    """
    options: dict[str, object] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not (name and sign and value):
            raise RunError(f"model_options {text!r}: {part!r} is not NAME=VALUE")
        try:
            options[name] = parse_toml(f"value = {value}")["value"]
        except UnreadableError:
            options[name] = value
    return options


def options_text(options: Mapping[str, object]) -> str:
    """Return a network's own settings in the text that `parse_options` reads.

    >>> options_text({"variant": "notes", "width": 2, "bias": True})
    'variant=notes,width=2,bias=true'
    """
    return ",".join(
        f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()
    )


def following_seeds(first: int, count: int) -> tuple[int, ...]:
    """Return the seeds of `count` trainings: the first and those after it.

    Raises:
        RunError: a seed that would be too large, or more than 100,000 of them.

    >>> following_seeds(7, 3)
    (7, 8, 9)
    """
    if count > MOST_TRAININGS:
        raise RunError(f"{count} trainings: give {MOST_TRAININGS:,} or fewer")
    if first + count > SEEDS:
        raise RunError(
            f"seed {first}: {count} trainings take this seed and those after it, and the largest is {SEEDS - 1}: "
            "take a lower one"
        )
    return tuple(range(first, first + count))


def settings_table(items: Iterable[Field[Any]], values: Mapping[str, SettingValue]) -> Table:
    """Return a row for each of the settings that has a value: name, value, what it does."""
    from convscope.report.table import Column, Table

    rows = [(item.name, _shown(values[item.name]), str(item.metadata["help"])) for item in items if item.name in values]
    return Table.of([Column("setting"), Column("value"), Column("what it does")], rows)


def _shown(value: SettingValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value != "" else "none"
