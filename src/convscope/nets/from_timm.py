"""timm's networks as `timm/NAME` if timm is installed, and its trained weights if they can be downloaded."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from convscope.errors import CaptureError, did_you_mean
from convscope.nets.entry import TIMM, Entry
from convscope.report.usage import setting_name

# The option of networks that are built for one size of image, in pixels.
IMAGE_SIZE = "img_size"
# What convscope itself says of a network: options beside it are timm's own.
_GIVEN = {"self", "num_classes", "in_chans", "device", "dtype"}
# Where timm says nothing.
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_SCALARS = (bool, int, float, str, type(None))


def import_timm() -> ModuleType:
    """Return timm.

    Raises:
        CaptureError: it is not installed, or it is and something that it imports is missing or does not fit; the
            message says which, and what to install.
    """
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name in ("timm", None):
            raise CaptureError("timm is not installed: pip install 'convscope[timm]'") from error
        raise CaptureError(
            f"timm is installed, and {error.name}, which it imports, is not: pip install {error.name.partition('.')[0]}"
        ) from error
    except Exception as error:  # a torchvision that does not match torch raises anything
        cause = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        if "torchvision" in _modules_of(error):
            raise CaptureError(
                f"timm is installed, and torchvision, which it imports, does not fit torch {torch.__version__} "
                f"({cause}): pip install --force-reinstall torch torchvision"
            ) from error
        raise CaptureError(f"timm is installed, and fails when it is imported ({cause}): reinstall it") from error


@cache
def entry(name: str) -> Entry:
    """Return one of timm's networks as an entry of the catalogue; `name` begins with "timm/".

    Raises:
        CaptureError: timm is not installed or can't be imported, or has no such network.
    """
    known = require_name(name)
    network = _on_meta(known)
    facts = network.pretrained_cfg
    channels, *sizes = facts.get("input_size", (3, 224, 224))
    return Entry(
        name=name,
        title=f"{known} of timm",
        year=0,
        paper=str(facts.get("paper_name") or "see timm"),
        idea=f"timm's {known}",
        input_shape=(channels, *sizes),
        parameters=sum(weight.numel() for weight in network.parameters()),
        published_error=None,
        layers=None,
        num_classes=network.num_classes or 1000,  # some of its networks come without a classifier
        module=__name__,
        factory="create",
        settings=(("name", known),),
    )


def require_name(name: str) -> str:
    """Return timm's own name of "timm/NAME". Raises CaptureError where timm has no such network."""
    known = name.removeprefix(TIMM)
    timm = import_timm()
    if not timm.is_model(known):
        near = [TIMM + model for model in timm.list_models()]
        raise CaptureError(f"timm has no network {known!r}.{did_you_mean(name, near)}")
    return known


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation, by channel, of the images that timm trained "timm/NAME" on."""
    facts = _on_meta(require_name(name)).pretrained_cfg
    mean, std = (tuple(map(float, facts.get(part) or usual)) for part, usual in _IMAGENET.items())
    return mean, std


@cache
def option_names(name: str) -> tuple[str, ...]:
    """Return the settings that a network of timm takes beside classes and channels, such as "drop_path_rate".

    They are those of its class whose value can be a number, a word or a switch; `name` begins with "timm/".
    """
    found = {"pretrained": None}
    for kind in type(_on_meta(require_name(name))).__mro__:
        if kind.__module__.startswith("timm."):
            for parameter in inspect.signature(kind).parameters.values():
                if parameter.name not in _GIVEN and isinstance(parameter.default, _SCALARS):
                    found[parameter.name] = None
    return tuple(found)


def create(
    *,
    name: str,
    num_classes: int = 1000,
    in_channels: int = 3,
    pretrained: bool = False,
    options: Mapping[str, object] | None = None,
) -> nn.Module:
    """Build timm's network `name` for images (N, in_channels, H, W); `pretrained` downloads its weights.

    `options` are the network's own, as `option_names` lists them.

    Raises:
        CaptureError: timm is not installed, can't build the network, or its weights can't be downloaded.
    """
    timm = import_timm()
    own = dict(options or {})
    settings: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels, "pretrained": pretrained, **own}
    try:
        return cast(nn.Module, timm.create_model(name, **settings))
    except Exception as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        of_weights = pretrained and isinstance(error, OSError | RuntimeError | ValueError)
        if own and not of_weights:
            given = ", ".join(f"{option}={value}" for option, value in own.items())
            raise CaptureError(f"timm can't make {name} with {given}: {said}") from error
        if not of_weights:
            raise
        raise CaptureError(
            f"timm can't fetch the weights of {name} ({said}): they need a connection; "
            f"or give a file you have as {setting_name('weights')}"
        ) from error


def _on_meta(known: str) -> Any:
    with torch.device("meta"):
        return import_timm().create_model(known)


def _modules_of(error: BaseException) -> set[str]:
    """Return the packages in an exception's traceback, and those that its message names."""
    packages = {word for word in ("torchvision",) if word in str(error)}
    trace = error.__traceback__
    while trace is not None:
        packages.add(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    return packages
