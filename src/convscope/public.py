"""What every public function does around its own work: check its arguments, and run in a known state of torch."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from convscope.torch_state import known_state

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

# Whether this thread is inside a public function, whose state is then that of the ones it calls.
_inside: ContextVar[bool] = ContextVar("inside", default=False)


def public(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Decorate a public function or method: it runs in a known state of torch, and leaves the caller's as it was.

    >>> @public
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(4)
    8
    """

    @wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        if _inside.get():
            return function(*args, **kwargs)
        token = _inside.set(True)
        try:
            with known_state():
                return function(*args, **kwargs)
        finally:
            _inside.reset(token)

    return called
