"""The options of a network, held to the annotations of its factory."""

from __future__ import annotations

import math
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from convscope.api.annotations import REFUSED, as_plain, needed, taken
from convscope.errors import CaptureError, did_you_mean

_NEEDED = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", NoneType: "nothing"}


def checked_option(what: str, value: object, hint: Any) -> object:
    """Return the value if the factory's annotation allows it: literals, integers, floats, booleans, lists of them.

    A literal is returned as the annotation has it: 2 for 2.0. Limits of a number are those of `Annotated`.

    Raises:
        CaptureError: a value that it does not allow.

    >>> checked_option("width", 2, float), checked_option("sizes", [3, 5], tuple[int, ...])
    (2.0, (3, 5))
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        value = str(value) if str(value) in inner else value  # "1998", read as a number from a command line
        # True is 1 in Python, and no number here.
        same = [one for one in inner if one == value and isinstance(one, bool) == isinstance(value, bool)]
        if not same:
            near = did_you_mean(str(value), map(str, inner))
            raise CaptureError(f"{what} is one of {', '.join(map(repr, inner))}; got {value!r}.{near}")
        return same[0]
    if origin is tuple and inner:
        if not isinstance(value, (list, tuple)) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            raise CaptureError(f"{what} takes a list, got {value!r}")
        each = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
        return tuple(checked_option(what, item, item_hint) for item, item_hint in zip(value, each, strict=True))
    parts = inner if origin in (Union, UnionType) else (hint,)
    allowed = [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts]
    if not all(kind in _NEEDED for kind in allowed):
        return value  # of a user's own factory, which says itself what it can't take
    if float in allowed and type(value) is int:
        value = as_plain(value, float)
    if type(value) not in allowed:
        raise CaptureError(f"{what} takes {' or '.join(_NEEDED[kind] for kind in allowed)}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise CaptureError(f"{what} takes a finite number, got {value}")
    if taken(value, hint) is REFUSED:
        raise CaptureError(f"{what} takes {needed(hint)}, got {value}")
    return value
