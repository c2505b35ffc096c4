"""What an annotation accepts, and what it asks for in words: the checks of `public` and of a recipe's settings.

>>> taken(3, int | Literal["auto"]), taken("auto", int | Literal["auto"]), taken("x", int | Literal["auto"]) is REFUSED
(3, 'auto', True)
>>> taken(10**400, int) is REFUSED  # which no float holds
True
>>> needed(int | Literal["auto"])
"a whole number or 'auto'"
"""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from numbers import Real
from pathlib import Path
from types import FunctionType, MethodType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

# In place of a value that is not of the kind asked for.
REFUSED: Final[Any] = object()


@dataclass(frozen=True)
class AtLeast:
    """The smallest value of a number: `Annotated[int, AtLeast(1)]` is 1 or more."""

    low: float

    def __str__(self) -> str:
        return f"of {self.low:g} or more"


@dataclass(frozen=True)
class Below:
    """What a number must be below: `Annotated[int, Below(8)]` is 7 or less."""

    high: int

    def __str__(self) -> str:
        return f"below {self.high}"


SEEDS = 2**63
"""Seeds are below it: torch takes no larger ones."""

Positive: TypeAlias = Annotated[int, AtLeast(1)]
NotNegative: TypeAlias = Annotated[int, AtLeast(0)]
Seed: TypeAlias = Annotated[int, AtLeast(0), Below(SEEDS)]
Probability: TypeAlias = Annotated[float, AtLeast(0), Below(1)]

_PLAIN: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a string",
    Path: "a path (str or pathlib.Path)",
    NoneType: "None",
}
# Of classes, by their names: this floor imports none of them.
_CLASSES: dict[str, str] = {
    "Recipe": 'a convscope.Recipe, such as Recipe(model="lenet5", epochs=3)',
    "Inspection": "what convscope.inspect(model, input_shape) returns",
    "Run": "a run",
    "HasRun": "what convscope.train returned",
    "Module": "a torch.nn.Module",
    "Tensor": "a torch.Tensor",
    "dtype": "a torch.dtype",
    "PathLike": _PLAIN[Path],
    "ndarray": "a NumPy array",
    "Mapping": "a dict",
}
_SEQUENCES: dict[Any, str] = {
    int: "a tuple of whole numbers",
    str: 'a list of strings, such as ["a", "b"]',
}


def taken(value: Any, hint: Any) -> Any:
    """Return a value as the annotation has it, NumPy's scalars as Python's; REFUSED where it is of another kind."""
    origin, within = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return value
    if hint is None or hint is NoneType:
        return None if value is None else REFUSED
    if origin is Annotated:
        found = taken(value, within[0])
        refused = found is REFUSED or any(not _is_within(found, limit) for limit in within[1:])
        return REFUSED if refused else found
    if origin in (Union, UnionType):
        return next((found for part in within if (found := taken(value, part)) is not REFUSED), REFUSED)
    if origin is Literal:
        words = (word for word in within if isinstance(value, type(word)) and value == word)
        return next(words, REFUSED)
    if hint in (bool, int, float, str):
        found = as_plain(value, hint)
        return found if type(found) is hint and _is_sound(found) else REFUSED
    if hint is Path or origin is os.PathLike:
        sound = isinstance(value, os.PathLike) and "\0" not in os.fsdecode(value)
        return (Path(value) if hint is Path else value) if sound else REFUSED
    return _of_class(value, hint, origin or hint, within)


def _is_within(value: float, limit: object) -> bool:
    """Return whether a number is within a limit of its annotation."""
    match limit:
        case AtLeast(low):
            return low <= value
        case Below(high):
            return value < high
    return True


def _is_sound(value: float | str) -> bool:
    """Return whether a value is no NaN or infinity, no integer beyond any float, and no string that no path can be."""
    if isinstance(value, str):
        return "\0" not in value
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def as_plain(value: Any, kind: type) -> Any:
    """Return a number, switch or string, also of NumPy, as Python's bool, int, float or str; else the value itself.

    >>> import numpy as np
    >>> as_plain(np.int64(3), int), as_plain(3, float), as_plain(np.True_, bool), as_plain("3", int)
    (3, 3.0, True, '3')
    """
    numpy = sys.modules.get("numpy")
    if isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool_)):
        return bool(value)
    if kind is str and isinstance(value, str):
        return str(value)
    try:
        if kind is float and isinstance(value, Real):
            return float(value)
        if kind is int and not isinstance(value, type):
            return operator.index(value)
    except Exception:  # no whole number, or one that no float holds; a tensor of several raises what it likes
        return value
    return value


def _of_class(value: Any, hint: Any, wanted: Any, within: tuple[Any, ...]) -> Any:
    if wanted is Callable:
        return value if _can_be_called(value, within[0] if within else ...) else REFUSED
    if wanted in (Sequence, tuple, list):
        return _of_sequence(value, within)
    if not isinstance(wanted, type):
        return value
    if getattr(wanted, "_is_protocol", False):
        has_all = all(hasattr(value, name) for name in _methods(wanted))
        return value if has_all and not isinstance(value, type) else REFUSED
    return value if isinstance(value, wanted) else REFUSED


def _of_sequence(value: Any, items: tuple[Any, ...]) -> Any:
    """Return a tuple of the items, or the sequence of anything; text is no sequence, an array of one axis is."""
    if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray, memoryview)):
        return REFUSED
    if items in ((), (Any,), (Any, ...)):
        return value
    hints = (items[0],) * len(value) if len(items) == 1 or items[1] is ... else items
    found = tuple(map(taken, value, hints))
    return REFUSED if len(hints) != len(value) or any(each is REFUSED for each in found) else found


def _can_be_called(value: Any, parameters: Any) -> bool:
    """Return whether a value can be called with that many arguments, and does its work in the call."""
    if not callable(value) or not isinstance(parameters, list):
        return callable(value)
    if _kind_of_function(value):
        return False
    try:
        signature(value).bind(*parameters)
    except TypeError:
        return False
    except ValueError:  # what is written in C may have no signature
        return not isinstance(value, type) or not parameters
    return True


def _kind_of_function(value: Any) -> str:
    """Return "async" or "generator" of a function that only returns what would do its work; "" of any other."""
    called = getattr(value, "__call__", value)  # noqa: B004 - of an object with a method of that name
    for one in (value, called):
        if iscoroutinefunction(one) or isasyncgenfunction(one):
            return "async"
        if isgeneratorfunction(one):
            return "generator"
    return ""


def _takes(value: Any) -> str:
    """Return how many arguments a function takes, in words; "" where it does not say."""
    try:
        parameters = signature(value).parameters.values()
    except (TypeError, ValueError):
        return ""
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return ""
    count = sum(one.kind is not one.KEYWORD_ONLY for one in parameters)
    return f" of {count or 'no'} argument{'s' * (count != 1)}"


def needed(hint: Any) -> str:
    """Return what an annotation asks for, in words; "" where it takes anything.

    >>> needed(Positive | None), needed(str | Path), needed(Literal["crop", "squash"])
    ('a whole number of 1 or more', 'a path (str or pathlib.Path)', "'crop' or 'squash'")
    >>> needed(Annotated[int, AtLeast(2), Below(8)])
    'a whole number of 2 or more and below 8'
    """
    texts = [text for text in dict.fromkeys(_needed(hint)) if text != "None"]
    if _PLAIN[str] in texts and _PLAIN[Path] in texts:
        texts.remove(_PLAIN[str])
    return " or ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def _needed(hint: Any) -> Iterator[str]:
    origin, within = get_origin(hint), get_args(hint)
    wanted = origin or hint
    if hint is Any:
        return
    if origin is Annotated:
        yield f"{needed(within[0])} {' and '.join(map(str, within[1:]))}"
    elif origin in (Union, UnionType):
        for part in within:
            yield from _needed(part)
    elif origin is Literal:
        yield from map(repr, within)
    elif hint in _PLAIN:
        yield _PLAIN[hint]
    elif wanted is Callable:
        parameters = within[0] if within and isinstance(within[0], list) else []
        if len(parameters) == 1:
            yield f"a function of 1 argument, {needed(parameters[0])}"
        else:
            yield f"a function of {len(parameters)} arguments" if parameters else "a function"
    elif wanted in (Sequence, tuple, list):
        if within and get_origin(within[0]) is Literal:
            yield f"a list of {needed(within[0])}"
            return
        yield _SEQUENCES.get(within[0] if within else Any, "a tuple" if wanted is tuple else "a list")
    elif getattr(wanted, "_is_protocol", False) and wanted.__name__ not in _CLASSES:
        yield f"an object with {', '.join(f'{name}()' for name in _methods(wanted))}"
    else:
        name = getattr(wanted, "__name__", str(wanted))
        yield _CLASSES.get(name) or _with_article(name)


def remedy(name: str, value: Any, hint: Any) -> str:
    """Return the code that makes what is needed of a value that is nearly it; "" where there is none.

    >>> remedy("recipe", {"epochs": 3}, str | Path)
    ''
    """
    classes = {getattr(part, "__name__", "") for part in (hint, *get_args(hint))}
    if "Recipe" in classes and isinstance(value, Mapping):
        return f"convscope.Recipe(**{name})"
    if "Recipe" in classes and isinstance(value, str):
        return 'convscope.Recipe(preset="fast")'
    return ""


def words_of(hint: Any) -> list[str]:
    """Return the words among what an annotation accepts."""
    if get_origin(hint) is Literal:
        return [word for word in get_args(hint) if isinstance(word, str)]
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else ()
    return [word for part in parts for word in words_of(part)]


def described(value: Any) -> str:
    """Return a value in a few words: a short plain one as it is written, the class of all others.

    >>> described(-5), described("trian"), described({}), described(int), described((3, "x"))
    ('-5', "'trian'", 'a dict', 'the class int', "(3, 'x')")
    """
    plain = (bool, int, float, str, NoneType)
    if isinstance(value, plain) or (isinstance(value, (list, tuple)) and all(isinstance(one, plain) for one in value)):
        try:
            text = repr(value)
        except ValueError:  # a number of more digits than Python writes
            text = _with_article(type(value).__name__)
        return text if len(text) <= 60 else f"{text[:57]}..."
    if isinstance(value, (FunctionType, MethodType)):
        kind = _kind_of_function(value)
        return _with_article(f"{kind} function") if kind else f"a function{_takes(value)}"
    return f"the class {value.__name__}" if isinstance(value, type) else _with_article(type(value).__name__)


def _methods(protocol: type) -> list[str]:
    return [name for name in dir(protocol) if not name.startswith("_")]


def _with_article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"
