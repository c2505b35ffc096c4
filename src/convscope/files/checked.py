"""Read JSON and TOML with limits: size, depth, no repeated names, finite numbers, integers of at most 64 bits.

The values are dict, list, str, int, float, bool and None.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from convscope.files.fields import Fields, in_short
from convscope.files.regular import Name, UnreadableError, read_bytes
from convscope.files.text import decode_text

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A value as JSON has it."""

JSON_LIMIT = 64 * 2**20
TOML_LIMIT = 2**18
DEEPEST = 32
LARGEST_INTEGER = 2**64 - 1
LONG_INTEGER = "it holds a whole number of more than 64 bits"
# tomllib takes a time that grows with the square of the parts of a dotted name: 60 s for 40,000.
MOST_DOTS = DEEPEST
# Texts and comments: their dots are in no name.
_TOML_TEXT = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}|"(?:\\.|[^"\\\n])*"|\'{3}.*?\'{3,5}|\'[^\'\n]*\'|#[^\n]*''', re.DOTALL
)
_TOML_SIGNS = re.compile(r"[,={}\[\]\n]")


def read_json(path: Name, *, limit: int = JSON_LIMIT) -> Fields:
    """Read a JSON file of at most `limit` bytes that holds an object, and return its fields.

    Raises:
        UnreadableError: the file can't be read, or is not JSON as this module takes it.
    """
    return Fields.of(parse_json(read_bytes(path, limit=limit)))


def parse_json(data: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        UnreadableError: it is no JSON, is nested too deep, repeats a name, or holds NaN, an infinity, a number out of
            range, or half of a surrogate pair.

    >>> parse_json('{"epoch": 3}')
    {'epoch': 3}
    >>> parse_json('{"loss": 1e999}')
    Traceback (most recent call last):
    ...
    convscope.files.regular.UnreadableError: it holds the number 1e999: needed is a finite number
    """
    text = decode_text(data) if isinstance(data, bytes) else data
    try:
        value = json.loads(
            text, object_pairs_hook=_each_once, parse_int=_whole, parse_float=_finite, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        what = "empty" if not text.strip() else f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise UnreadableError(what) from None
    except RecursionError:
        raise _too_deep() from None
    _check(value)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values of a TOML text by name.

    Raises:
        UnreadableError: it is not TOML, is too long, nested too deep, or holds a whole number of more than 64 bits.

    >>> parse_toml("epochs = 3")
    {'epochs': 3}
    >>> parse_toml("x = " + 5000 * "[")
    Traceback (most recent call last):
    ...
    convscope.files.regular.UnreadableError: nested more than 32 deep
    """
    import tomllib  # here, as its expressions take 20 ms to compile, and most programs read no TOML

    if len(text) > TOML_LIMIT:
        raise UnreadableError(f"{len(text):,} characters; the limit is {TOML_LIMIT:,}")
    if any(part.count(".") > MOST_DOTS for part in _TOML_SIGNS.split(_TOML_TEXT.sub("", text))):
        raise _too_deep()
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except tomllib.TOMLDecodeError as error:
        raise UnreadableError(f"not TOML: {error}") from None
    except ValueError:  # thousands of digits
        raise UnreadableError(LONG_INTEGER) from None
    _check(values)
    return values


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for place, name in enumerate(names) if name in names[:place])
        raise UnreadableError(f"it has {in_short(again)} twice: keep one")
    return values


def _whole(text: str) -> int:
    # Thousands of digits are refused before they are read, which takes a time that grows with their square.
    if len(text) > len(str(LARGEST_INTEGER)) + 1 or abs(number := int(text)) > LARGEST_INTEGER:
        raise UnreadableError(
            f"it holds the number {in_short(text)[1:-1]}: needed are whole numbers of at most 64 bits"
        )
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise UnreadableError(f"it holds the number {in_short(text)[1:-1]}: needed is a finite number")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise UnreadableError(f"it holds {name}: needed is a finite number")


def _check(value: Any) -> None:
    """Raise UnreadableError for values nested too deep, and for text and numbers that can't be written back."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                _check_text(item)
            elif isinstance(item, int) and abs(item) > LARGEST_INTEGER:
                raise UnreadableError(LONG_INTEGER)
        level = below


def _check_text(text: str) -> None:
    # U+DC80 to U+DCFF stand for the bytes of a path that is not UTF-8, as `os.fsdecode` makes them.
    if not text.isascii() and any(
        "\ud800" <= character < "\udc80" or "\udcff" < character <= "\udfff" for character in text
    ):
        raise UnreadableError(f"it holds half of a surrogate pair, in {in_short(text)}")


def _too_deep() -> UnreadableError:
    return UnreadableError(f"nested more than {DEEPEST} deep")
