"""Networks of the catalogue, built by name; every argument is JSON-able, so that `model.json` can hold it."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch import nn

from convscope.errors import CaptureError, GeometryError, did_you_mean
from convscope.nets import catalogue
from convscope.nets.entry import Entry
from convscope.nets.shapes import VanishedError, trace_shapes

Factory = Callable[..., nn.Module]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
) -> nn.Module:
    """A network of the catalogue with fresh weights; what is left out is as in its paper.

    Args:
        name: as `convscope models` lists it.
        num_classes: outputs, at least 1.
        in_channels: input channels, at least 1.
        image_size: spatial axes in pixels; one number stands for all axes. Networks that have a stem for small
            images, or fully connected layers, fit themselves to it.
        options: the network's own settings, such as `{"variant": "notes"}` for lenet5.

    Raises:
        CaptureError: an unknown name or option, or a value that the option can't take.
        GeometryError: the image is too small; the message names the layer and the smallest size that works.

    >>> sum(p.numel() for p in build("lenet5").parameters())
    61706
    """
    entry = catalogue.find(name)
    arguments = _arguments(entry, num_classes, in_channels, options)
    sizes = _image_size(entry, image_size)
    try:
        return _built(entry, arguments, sizes, check=sizes != entry.image_size or options is not None)
    except VanishedError as vanished:
        smallest = smallest_input(name, options=options)
        raise GeometryError(
            f"{name} can't take an input of {_by(sizes)}: {vanished}; the smallest that works is {_by(smallest)}"
        ) from None


def smallest_input(name: str, *, options: Mapping[str, object] | None = None) -> tuple[int, ...]:
    """The smallest image, in pixels per axis, that passes through the network; found by trying shapes, not listed.

    >>> smallest_input("resnet18")
    (1, 1)
    """
    entry = catalogue.find(name)
    arguments = _arguments(entry, None, None, options)
    fits_itself = "image_size" in inspect.signature(_factory(entry)).parameters
    with torch.device("meta"):
        fixed = None if fits_itself else _factory(entry)(**arguments)

    def works(sizes: tuple[int, ...]) -> bool:
        try:
            with torch.device("meta"):
                network = fixed or _factory(entry)(**arguments, image_size=sizes)
            trace_shapes(network, (arguments["in_channels"], *sizes))
        except VanishedError:
            return False
        return True

    sizes = entry.image_size
    if len(set(sizes)) == 1:
        return (_least(lambda side: works((side,) * len(sizes)), sizes[0]),) * len(sizes)

    def works_on(axis: int) -> Callable[[int], bool]:
        return lambda size: works((*sizes[:axis], size, *sizes[axis + 1 :]))

    return tuple(_least(works_on(axis), sizes[axis]) for axis in range(len(sizes)))


def _least(works: Callable[[int], bool], known: int) -> int:
    """The least whole number at which `works` turns true, which it has by `known`: doubling, then halving."""
    high = 1
    while high < known and not works(high):
        high = min(2 * high, known)
    low = high // 2 + 1 if high < known else 1
    while low < high:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _built(entry: Entry, arguments: dict[str, Any], sizes: tuple[int, ...], *, check: bool) -> nn.Module:
    factory = _factory(entry)
    if "image_size" in inspect.signature(factory).parameters:
        arguments = {**arguments, "image_size": sizes}
    network = factory(**arguments)
    if check:
        trace_shapes(network, (arguments["in_channels"], *sizes))
    return network


def _factory(entry: Entry) -> Factory:
    factory: Factory = getattr(importlib.import_module(entry.module), entry.factory)
    return factory


def _arguments(
    entry: Entry, num_classes: int | None, in_channels: int | None, options: Mapping[str, object] | None
) -> dict[str, Any]:
    arguments: dict[str, Any] = {**dict(entry.settings), **_options(entry, options or {})}
    common = {"num_classes": (num_classes, entry.num_classes), "in_channels": (in_channels, entry.in_channels)}
    for argument, (given, default) in common.items():
        value = default if given is None else given
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CaptureError(f"{argument} must be a whole number of at least 1, got {value!r}")
        arguments[argument] = value
    return arguments


def _image_size(entry: Entry, image_size: int | Sequence[int] | None) -> tuple[int, ...]:
    axes = len(entry.image_size)
    if image_size is None:
        return entry.image_size
    sizes = (image_size,) * axes if isinstance(image_size, int) else tuple(image_size)
    if len(sizes) != axes:
        raise CaptureError(f"{entry.name} takes {axes} spatial axes, like {_by(entry.image_size)}; got {_by(sizes)}")
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes):
        raise CaptureError(f"image_size must be whole numbers of at least 1, got {_by(sizes)}")
    return sizes


def _options(entry: Entry, options: Mapping[str, object]) -> dict[str, object]:
    hints = get_type_hints(_factory(entry))
    fixed = {*catalogue.COMMON, *(name for name, _ in entry.settings), "return"}
    known = [name for name in hints if name not in fixed]
    checked = {}
    for option, value in options.items():
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            near = did_you_mean(option, known)
            raise CaptureError(f"{entry.name} has no option {option!r}: {has}{near and '.' + near}")
        checked[option] = _checked(f"{entry.name}'s option {option}", value, hints[option])
    return checked


def _checked(what: str, value: object, hint: Any) -> object:
    """The value, if the factory's annotation allows it: literals, whole and real numbers, switches, lists of them."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        value = str(value) if str(value) in inner else value  # "1998", read as a number from a command line
        if value not in inner:
            near = did_you_mean(str(value), map(str, inner))
            raise CaptureError(f"{what} is one of {', '.join(map(repr, inner))}; got {value!r}.{near}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            raise CaptureError(f"{what} takes a list, got {value!r}")
        each = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_checked(what, item, item_hint) for item, item_hint in zip(value, each, strict=True))
    allowed = inner if origin in (Union, UnionType) else (hint,)
    if float in allowed and type(value) is int:
        return float(value)
    if type(value) not in allowed:
        needed = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", NoneType: "nothing"}
        raise CaptureError(f"{what} takes {' or '.join(needed[kind] for kind in allowed)}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise CaptureError(f"{what} takes a finite number, got {value}")
    return value


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
