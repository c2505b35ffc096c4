"""The user's own networks: built by a factory of theirs, and held to what training needs of a network.

A factory is given `num_classes`, `in_channels` and `image_size` where its signature takes them, and the user's options
as its other arguments. Its network must make scores (N, num_classes) of images (N, C, H, W); where it makes several
tensors, as torchvision's Inception does in training, the scores are taken from among them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from convscope.errors import CaptureError, ConvscopeError, did_you_mean
from convscope.nets.attributes import attributes_kept
from convscope.nets.checked_option import checked_option
from convscope.nets.modules import evaluation_mode
from convscope.nets.own_code import found, neighbours_importable, without_folders
from convscope.nets.own_imports import in_one_line
from convscope.nets.shapes import VanishedError, trace_shapes
from convscope.report.units import plural
from convscope.report.usage import Placeholder, setting_name, settings_text

# What a factory is given by these names, where it takes them.
GIVEN = ("num_classes", "in_channels", "image_size")
# Under these keys and attributes torchvision, timm and transformers keep the scores among other tensors.
SCORES = ("logits", "out")


def build(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | Sequence[int] | None = None,
    options: Mapping[str, object],
    check: bool = True,
) -> nn.Module:
    """Build the network of a factory with fresh weights; its code is imported, and run.

    Args:
        name: `file.py:factory` or `package.module:factory`.
        num_classes: outputs.
        in_channels: input channels.
        image_size: height and width in pixels.
        options: the factory's other arguments, by name.
        check: whether an input is run through it, to see that it gives (N, num_classes).

    Raises:
        CaptureError: it can't be imported, built or run on images of this size, or it gives something else.
    """
    factory = factory_of(name)
    sizes = (image_size, image_size) if isinstance(image_size, int) else image_size
    given = dict(zip(GIVEN, (num_classes, in_channels, None if sizes is None else tuple(sizes)), strict=True))
    arguments = _arguments(name, factory, {key: value for key, value in given.items() if value is not None}, options)
    shape = None if in_channels is None or sizes is None else (in_channels, *sizes)

    def complete() -> nn.Module:
        network = made(name, partial(factory, **arguments))
        if any(map(is_lazy, (*network.parameters(), *network.buffers()))):
            _materialise(name, network, shape)
        if num_classes is not None and not any(True for _ in network.parameters()):
            raise CaptureError(
                f"{name} has no weights to train: layers in a plain list are not found, put them into nn.ModuleList"
            )
        if num_classes is not None:
            network.register_forward_hook(partial(_scores_alone, without_folders(name), num_classes))
        if check and num_classes is not None and shape is not None:
            _require_scores(name, network, shape, num_classes, factory)
        return network

    with neighbours_importable(name):  # its forward pass may import as well
        try:
            return complete()
        except (CaptureError, VanishedError):
            if not _on_meta():
                raise
        # Its constructor or its forward needs values: it is made with them, and the memory is given back.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return complete().to("meta")


def factory_of(name: str) -> Callable[..., Any]:
    """Import own code, and return the function or class in it that makes a network.

    Raises:
        CaptureError: it can't be imported, or is a network that is made already, or nothing that can be called.
    """
    factory: Callable[..., Any] = found(name)
    if isinstance(factory, nn.Module):
        raise CaptureError(
            f"{name} is a {type(factory).__name__} that is made already, and training draws fresh weights: name the "
            "class, or a function that makes it"
        )
    if not callable(factory):
        raise CaptureError(
            f"{name} is a {type(factory).__name__}: it must be a function or class that makes a torch.nn.Module"
        )
    return factory


def made(name: str, factory: Callable[[], Any]) -> nn.Module:
    """Call a factory without arguments; whatever it raises becomes one line."""
    try:
        with neighbours_importable(name), redirect_stdout(sys.stderr):
            network = factory()
    except ConvscopeError:
        raise
    except Exception as error:
        raise CaptureError(f"{name} failed: {in_one_line(error)}") from error
    except SystemExit as ended:
        raise CaptureError(f"{name} ended the program (exit {ended.code})") from ended
    if not isinstance(network, nn.Module):
        raise CaptureError(f"{name} gave a value of type {type(network).__name__}: it must return a torch.nn.Module")
    return network


def needed_arguments(factory: Callable[..., Any]) -> list[str]:
    """Return the arguments without which a factory can't be called; none where its signature can't be read."""
    return [
        name
        for name, one in _parameters(factory).items()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    if inspect.isclass(factory) and factory.__init__ is nn.Module.__init__:
        return {}  # it is written to take anything, and refuses it
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # builtins have no signature to read: calling shows
        return {}


def _arguments(
    name: str, factory: Callable[..., Any], given: dict[str, Any], options: Mapping[str, object]
) -> dict[str, Any]:
    """Return what the factory is called with; raises CaptureError for an option that it has not, or lacks."""
    parameters = _parameters(factory)
    known = [key for key, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    hints = _hints(factory)
    arguments = {key: value for key, value in given.items() if key in known}
    if "image_size" in arguments:
        arguments["image_size"] = _image_size(name, given["image_size"], parameters["image_size"], hints)
    own = [key for key in known if key not in GIVEN]
    for option, value in options.items():
        if option in given and option in known:
            raise CaptureError(f"{name}'s {option} is {given[option]}, by the data: leave it out of its options")
        if option not in known and not takes_any:
            has = f"it has {', '.join(own)}" if own else "it has none"
            near = did_you_mean(option, own)
            raise CaptureError(f"{name} has no option {option!r}: {has}{near and '.' + near}")
        hint = hints.get(option)
        arguments[option] = value if hint is None else checked_option(f"{name}'s option {option}", value, hint)
    if takes_any and "num_classes" in given:  # as torchvision's factories pass it on
        arguments.setdefault("num_classes", given["num_classes"])
    if lacks := [key for key in needed_arguments(factory) if key not in arguments]:
        option = Placeholder(",".join(f"{key}=..." for key in lacks))
        raise CaptureError(
            f"{name} needs {', '.join(lacks)}: give {settings_text(model_options=option)}, or give them a default"
        )
    return arguments


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except Exception:  # names that are imported for type checkers alone, or no annotations at all
        return {}


def _image_size(
    name: str, sizes: tuple[int, ...], parameter: inspect.Parameter, hints: Mapping[str, Any]
) -> int | tuple[int, ...]:
    """Return (height, width), or one number where the factory's annotation or default is one."""
    if hints.get("image_size") is not int and type(parameter.default) is not int:
        return sizes
    if len(set(sizes)) > 1:
        raise CaptureError(f"{name} takes one number as image_size, and images are {'x'.join(map(str, sizes))}")
    return sizes[0]


def _on_meta() -> bool:
    return torch.get_default_device().type == "meta"


def _materialise(name: str, network: nn.Module, shape: Sequence[int] | None) -> None:
    """Give lazy layers the sizes that an image makes them have."""
    if shape is None:
        raise CaptureError(f"{name} has lazy layers, whose sizes only an input gives")
    try:
        with evaluation_mode(network), torch.no_grad():
            network(torch.zeros(2, *shape))
    except Exception as error:
        raise CaptureError(
            f"{name} can't take an input of {_by(shape)}: {in_one_line(error)}{_another_size()}"
        ) from error


def _require_scores(
    name: str, network: nn.Module, shape: Sequence[int], classes: int, factory: Callable[..., Any]
) -> None:
    """Raise CaptureError unless the network makes one score a class of images of this shape."""
    found = _output_shape(name, network, shape)
    if found == (classes,):
        return
    if len(found) != 1:
        shown = ", ".join(("N", *map(str, found)))
        raise CaptureError(f"{name} gives outputs ({shown}), and training needs scores (N, {classes})")
    remedy = (
        "it does not make as many as its num_classes says"
        if "num_classes" in _parameters(factory)
        else f"give its factory an argument num_classes, or make it give {classes}"
    )
    raise CaptureError(f"{name} gives {plural(found[0], 'output')}, and there are {classes} classes: {remedy}")


def _output_shape(name: str, network: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the scores without the batch: by shapes alone, or of zeros where values are needed.

    Raises:
        VanishedError: values are needed, and the network has none.
        CaptureError: it can't take the shape.
    """
    try:
        return trace_shapes(network, shape, batch=2)[""]
    except VanishedError as vanished:
        if isinstance(vanished.__cause__, ConvscopeError):
            raise vanished.__cause__ from None
        if _on_meta():
            raise
        try:
            with attributes_kept(network), evaluation_mode(network), torch.random.fork_rng(devices=[]), torch.no_grad():
                output = network(torch.zeros(2, *shape))
        except ConvscopeError:
            raise
        except Exception:
            raise CaptureError(f"{name} can't take an input of {_by(shape)}: {vanished}{_another_size()}") from None
        return tuple(output.shape[1:])


def _scores_alone(name: str, classes: int, module: nn.Module, inputs: object, output: object) -> Tensor | None:
    """Return the scores among what a network gives; None leaves a tensor as it is. A forward hook.

    Raises:
        CaptureError: it gives none, or several, of which no name says which they are.
    """
    if isinstance(output, Tensor):
        return None
    named = _named(output)
    scores = {key: one for key, one in named.items() if one.ndim == 2 and one.shape[1] == classes}
    for key in SCORES:
        if key in scores:
            return scores[key]
    if len(scores) == 1:
        return next(iter(scores.values()))
    shapes = ", ".join(f"{key} {tuple(one.shape)}" for key, one in list(named.items())[:4]) or "no tensor"
    raise CaptureError(
        f"{name} gives a {type(output).__name__} ({shapes}), in which the scores (N, {classes}) "
        f"{'are several' if scores else 'are not found'}: return them alone, or by the name logits"
    )


def _named(output: object) -> dict[str, Tensor]:
    """Return the tensors that a network gives, by key, field or place."""
    if isinstance(output, Mapping):
        pairs: Sequence[tuple[object, object]] = list(output.items())
    elif isinstance(output, (tuple, list)):
        pairs = list(zip(getattr(output, "_fields", range(len(output))), output, strict=True))
    else:
        pairs = list(vars(output).items()) if hasattr(output, "__dict__") else []
    return {str(key): one for key, one in pairs if isinstance(one, Tensor)}


def _another_size() -> str:
    return f"; give another {setting_name('image_size')} where that is the reason"


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
