"""What every public function does around its own work: check its arguments, and run in a known state of torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, wraps
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

from convscope.api.annotations import REFUSED, described, needed, remedy, taken, words_of
from convscope.api.torch_state import known_state
from convscope.errors import ArgumentError, did_you_mean

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")
_CHECKED = "_arguments_are_checked"  # an attribute of what `public` and `checked` return


def public(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Decorate a public function or method: its arguments are checked, and it runs in a known state of torch.

    Values arrive as they are annotated: NumPy's scalars as Python's, sequences of numbers or strings as tuples. Inside
    another public function the state is already known, and only the arguments are looked at.

    >>> @public
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(4)
    8
    >>> double("4")
    Traceback (most recent call last):
    ...
    convscope.errors.ArgumentError: double: number is '4': give a whole number
    """
    parameters = Parameters(function)

    @wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        given = parameters.checked(args, kwargs)
        with known_state():
            return function(*given.args, **given.kwargs)

    called.__dict__[_CHECKED] = True
    return called


def checked(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Decorate a public method that computes nothing by torch: its arguments are checked as those of `public` are.

    >>> @checked
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(4), double.__name__
    (8, 'double')
    """
    parameters = Parameters(function)

    @wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        given = parameters.checked(args, kwargs)
        return function(*given.args, **given.kwargs)

    called.__dict__[_CHECKED] = True
    return called


def checked_methods(kind: type) -> None:
    """Check the arguments of the public methods that a class defines, as those of public functions are."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith("_") and not hasattr(method, _CHECKED):
            setattr(kind, name, checked(method))


class Parameters:
    """The parameters of a public function, and what their annotations accept."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = inspect.unwrap(function)
        self.name = function.__qualname__.removesuffix(".__call__").removesuffix(".__init__")

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self._function)

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        """The annotations by name, evaluated at the first call: none of them makes the import of a module slower."""
        written = {name: text for name, text in self._function.__annotations__.items() if name != "return"}
        return get_type_hints(SimpleNamespace(__annotations__=written), self._function.__globals__, include_extras=True)

    def checked(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """Return the arguments of a call by parameter, as they are annotated.

        Raises:
            ArgumentError: one that is missing, not known, or of another kind than its annotation.
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self.name}: {self._misfit(args, kwargs) or error}") from None
        for name, value in bound.arguments.items():
            if name in self.hints:
                kind = self._signature.parameters[name].kind
                if kind is inspect.Parameter.VAR_POSITIONAL:
                    bound.arguments[name] = tuple(self._value(name, one) for one in value)
                elif kind is inspect.Parameter.VAR_KEYWORD:
                    bound.arguments[name] = {key: self._value(name, one) for key, one in value.items()}
                else:
                    bound.arguments[name] = self._value(name, value)
        return bound

    def _value(self, name: str, value: Any) -> Any:
        hint = self.hints[name]
        found = taken(value, hint)
        if found is REFUSED:
            near = did_you_mean(value, words_of(hint)) if isinstance(value, str) else ""
            what = f"{self.name}: {name} is {described(value)}: give {remedy(name, value, hint) or needed(hint)}"
            error = ArgumentError(f"{what}.{near}" if near else what)
            error.function, error.argument = self.name, name
            raise error
        return found

    def _misfit(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Return which argument is not known or missing, and what to do; "" where Python's own words must do."""
        known = self._signature.parameters
        for name in kwargs:
            if name not in known:
                if owner := next((own for own in self.hints if name in self._fields(own)), None):
                    return f"{name} is a setting of the {owner}: give {owner}=convscope.{owner.title()}({name}=...)"
                return f"there is no argument {name}.{did_you_mean(name, self.hints) or self._takes()}"
        by_place = [name for name, one in known.items() if one.kind not in (one.KEYWORD_ONLY, one.VAR_KEYWORD)]
        if len(args) > len(by_place):
            named = " and ".join(name for name in by_place if name in self.hints)
            return f"only {named} can be given without a name" if named else "give its arguments by their names"
        if not set(by_place[: len(args)]) & set(kwargs):
            there = self._signature.bind_partial(*args, **kwargs).arguments
            for name, parameter in known.items():
                if name in self.hints and name not in there and parameter.default is parameter.empty:
                    what = needed(self.hints[name])
                    return f"{name} is missing: give {what}" if what else f"{name} is missing"
        return ""

    def _takes(self) -> str:
        named = [name for name in self._signature.parameters if name in self.hints]  # `self` has no annotation
        return f" It takes {', '.join(named)}" if named else " It takes none"

    def _fields(self, name: str) -> list[str]:
        """Return the fields of a parameter that takes a record of settings."""
        parts = get_args(self.hints[name]) or (self.hints[name],)
        records = (part for part in parts if isinstance(part, type) and is_dataclass(part))
        return [item.name for record in records for item in fields(record)]
