"""Networks of the catalogue, built by name; every argument is JSON-able, so that `model.json` can hold it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import nn

from convscope.errors import CaptureError, GeometryError, did_you_mean
from convscope.nets import catalogue, from_file, from_timm
from convscope.nets.checked_option import checked_option
from convscope.nets.entry import TIMM, Entry
from convscope.nets.from_timm import IMAGE_SIZE
from convscope.nets.layer_groups import freeze
from convscope.nets.own_code import is_own
from convscope.nets.shapes import VanishedError, trace_shapes
from convscope.report.usage import settings_text

Factory = Callable[..., nn.Module]

# Networks that do not take every size above their smallest take multiples of one of these.
STEPS = (8, 14, 16, 32, 64)


def build(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | Sequence[int] | None = None,
    options: Mapping[str, object] | None = None,
    check: bool = True,
) -> nn.Module:
    """Build a network of the catalogue with fresh weights; settings left out are those of its paper.

    Args:
        name: as `convscope models` lists it, or the user's own `file.py:factory`, whose code is run: see `from_file`.
        num_classes: outputs, at least 1.
        in_channels: input channels, at least 1.
        image_size: spatial axes in pixels; one number means all axes. Networks that have a stem for small
            images, or fully connected layers, fit themselves to it.
        options: the network's own settings, such as `{"variant": "notes"}` for lenet5.
        check: whether an input's shape is run through it, where nothing says that the size works.

    Raises:
        CaptureError: an unknown name or option, or a value that the option can't take.
        GeometryError: the image is too small; the message names the layer and the smallest size that works.

    >>> sum(p.numel() for p in build("lenet5").parameters())
    61706
    """
    if is_own(name):
        return from_file.build(
            name,
            num_classes=num_classes,
            in_channels=in_channels,
            image_size=image_size,
            options=options or {},
            check=check,
        )
    entry = catalogue.find(name)
    arguments = _arguments(entry, num_classes, in_channels, options)
    sizes = _image_size(entry, image_size, options)
    known = own_size(entry, options)
    check = check and (sizes != known or (options is not None and not is_timms(name)))
    try:
        return _built(entry, arguments, sizes, check=check)
    except VanishedError as vanished:
        raise GeometryError(
            f"{name} can't take an input of {_by(sizes)}: {vanished}; {_what_works(entry, sizes, options)}"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network without weights: its name and settings, outputs, input channels and size, and frozen parts."""

    name: str
    options: Mapping[str, object]
    classes: int
    channels: int
    image_size: tuple[int, int]
    freeze: str = ""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of one image: channels, height and width."""
        return self.channels, *self.image_size

    def build(self, **options: object) -> nn.Module:
        """Return the network with fresh weights; `options` go before its own. Raises as `build` does."""
        network = build(
            self.name,
            num_classes=self.classes,
            in_channels=self.channels,
            image_size=self.image_size,
            options={**self.options, **options},
        )
        freeze(network, self.freeze)
        return network

    def on_meta(self, **options: object) -> nn.Module:
        """Return the network without memory for its weights."""
        with torch.device("meta"):
            return self.build(**options)


def is_timms(name: str) -> bool:
    """Return whether a network's name is one of timm's: "timm/NAME"."""
    return name.startswith(TIMM)


def own_size(entry: Entry, options: Mapping[str, object] | None = None) -> tuple[int, ...]:
    """Return the image size, in pixels per axis, that a network is made for: its paper's, or that of its options.

    >>> own_size(catalogue.find("resnet18"))
    (224, 224)
    """
    given = (options or {}).get(IMAGE_SIZE) if is_timms(entry.name) else None
    if type(given) is int and given > 0:
        return (given,) * len(entry.image_size)
    return entry.image_size


def smallest_input(name: str, *, options: Mapping[str, object] | None = None) -> tuple[int, ...]:
    """Return the smallest image, in pixels per axis, that passes through the network, by trying shapes.

    >>> smallest_input("resnet18")
    (1, 1)
    """
    entry = catalogue.find(name)
    works = _trial(entry, options)
    sizes = own_size(entry, options)
    if len(set(sizes)) == 1:
        return (_least(lambda side: works((side,) * len(sizes)), sizes[0]),) * len(sizes)

    def works_on(axis: int) -> Callable[[int], bool]:
        return lambda size: works((*sizes[:axis], size, *sizes[axis + 1 :]))

    return tuple(_least(works_on(axis), sizes[axis]) for axis in range(len(sizes)))


def nearest_input(
    name: str, sizes: Sequence[int], *, options: Mapping[str, object] | None = None
) -> tuple[int, ...] | None:
    """Return the nearest size, in pixels per axis and not below `sizes`, that passes through the network.

    It is `sizes` itself where that passes, and the network's own size where it takes no other one near. None where
    every size that passes is smaller.

    >>> nearest_input("lenet5", (9, 9)), nearest_input("lenet5", (28, 28))
    ((12, 12), (28, 28))
    """
    entry = catalogue.find(name)
    works, own = _trial(entry, options), own_size(entry, options)
    if works(tuple(sizes)):
        return tuple(sizes)
    least = smallest_input(name, options=options)
    if not is_timms(name) and all(small >= size for small, size in zip(least, sizes, strict=True)):
        return least
    steps = {*STEPS, max(least)}
    rounded = {tuple(-(-max(pair) // step) * step for pair in zip(sizes, least, strict=True)) for step in steps}
    larger = sorted(rounded | {own})
    return next((size for size in larger if all(map(int.__ge__, size, sizes)) and works(size)), None)


def _trial(entry: Entry, options: Mapping[str, object] | None) -> Callable[[tuple[int, ...]], bool]:
    """Return whether an input of these sizes passes through the network, by tracing shapes."""
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

    return works


def _what_works(entry: Entry, sizes: tuple[int, ...], options: Mapping[str, object] | None) -> str:
    """Return which sizes the network takes instead of `sizes`, for an error."""
    if not is_timms(entry.name):
        return f"the smallest that works is {_by(smallest_input(entry.name, options=options))}"
    own, works = own_size(entry, options), _trial(entry, options)
    if works(tuple(2 * size for size in own)):
        return f"the nearest that works is {_by(nearest_input(entry.name, sizes, options=options) or own)}"
    return f"it takes {_by(own)} only{_other_size(entry, sizes, options)}"


def _other_size(entry: Entry, sizes: tuple[int, ...], options: Mapping[str, object] | None) -> str:
    """Return the option that builds a timm network for another image size, for an error, or "" if it has none."""
    if IMAGE_SIZE not in from_timm.option_names(entry.name):
        return ""
    given = {**(options or {}), IMAGE_SIZE: max(sizes)}
    try:
        works = _trial(entry, given)((max(sizes),) * len(sizes))
    except CaptureError:
        works = False
    return (
        f": leave the image size out, or give {settings_text(model_options=f'{IMAGE_SIZE}={max(sizes)}')}"
        if works
        else ""
    )


def _least(works: Callable[[int], bool], known: int) -> int:
    """Return the least integer at which `works` is true, at most `known`: by doubling, then bisection."""
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
    own = _timms_options(entry, options or {}) if is_timms(entry.name) else _options(entry, options or {})
    arguments: dict[str, Any] = {**dict(entry.settings), **own}
    common = {"num_classes": (num_classes, entry.num_classes), "in_channels": (in_channels, entry.in_channels)}
    for argument, (given, default) in common.items():
        value = default if given is None else given
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CaptureError(f"{argument} must be a whole number of at least 1, got {value!r}")
        arguments[argument] = value
    return arguments


def _image_size(
    entry: Entry, image_size: int | Sequence[int] | None, options: Mapping[str, object] | None
) -> tuple[int, ...]:
    axes = len(entry.image_size)
    if image_size is None:
        return own_size(entry, options)
    sizes = (image_size,) * axes if isinstance(image_size, int) else tuple(image_size)
    if len(sizes) != axes:
        raise CaptureError(f"{entry.name} takes {axes} spatial axes, like {_by(entry.image_size)}; got {_by(sizes)}")
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes):
        raise CaptureError(f"image_size must be whole numbers of at least 1, got {_by(sizes)}")
    return sizes


def _options(entry: Entry, options: Mapping[str, object]) -> dict[str, object]:
    hints = get_type_hints(_factory(entry), include_extras=True)
    fixed = {*catalogue.COMMON, *(name for name, _ in entry.settings), "return"}
    known = [name for name in hints if name not in fixed]
    checked = {}
    for option, value in options.items():
        _require_option(entry, option, known)
        checked[option] = checked_option(f"{entry.name}'s option {option}", value, hints[option])
    return checked


def option_values(name: str) -> list[tuple[str, object]]:
    """Return the settings of a network that are a choice or a switch, each with every value that it can have.

    >>> option_values("resnet18")[:3]
    [('stem', 'auto'), ('stem', 'imagenet'), ('stem', 'small')]
    """
    if is_timms(name) or is_own(name):
        return []
    entry = catalogue.find(name)
    fixed = {*catalogue.COMMON, *(setting for setting, _ in entry.settings), "return"}
    values: list[tuple[str, object]] = []
    for option, hint in get_type_hints(_factory(entry)).items():
        if option not in fixed:
            choices = get_args(hint) if get_origin(hint) is Literal else ()
            values += [(option, value) for value in choices or ((True, False) if hint is bool else ())]
    return values


def _timms_options(entry: Entry, options: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of timm's factory, its own settings apart from those of the network."""
    known = from_timm.option_names(entry.name) if options else ()
    for option in options:
        _require_option(entry, option, known)
    own = {option: value for option, value in options.items() if option != "pretrained"}
    return {"options": own, "pretrained": checked_option("pretrained", options.get("pretrained", False), bool)}


def _require_option(entry: Entry, option: str, known: Sequence[str]) -> None:
    if option not in known:
        has = f"it has {', '.join(known)}" if known else "it has none"
        near = did_you_mean(option, known)
        raise CaptureError(f"{entry.name} has no option {option!r}: {has}{near and '.' + near}")


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
