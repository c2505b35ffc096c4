"""timm's networks as `timm/NAME`, where timm is installed; its trained weights, where there is a connection."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from convscope.errors import CaptureError, did_you_mean
from convscope.nets.entry import TIMM, Entry


def entry(name: str) -> Entry:
    """What timm says of one of its networks, as an entry like the catalogue's own; `name` begins with "timm/".

    Raises:
        CaptureError: timm is not installed or can't be imported, or has no such network.
    """
    known = name.removeprefix(TIMM)
    timm = _timm()
    if not timm.is_model(known):
        near = [TIMM + model for model in timm.list_models()]
        raise CaptureError(f"timm has no network {known!r}.{did_you_mean(name, near)}")
    with torch.device("meta"):
        network = timm.create_model(known)
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
        num_classes=network.num_classes,
        module=__name__,
        factory="create",
        settings=(("name", known),),
    )


def create(
    *,
    name: str,
    num_classes: int = 1000,
    in_channels: int = 3,
    pretrained: bool = False,
) -> nn.Module:
    """timm's network `name` on images (N, in_channels, H, W); `pretrained` fetches its weights.

    Raises:
        CaptureError: timm is not there, or its weights can't be fetched.
    """
    timm = _timm()
    settings: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels, "pretrained": pretrained}
    try:
        return cast(nn.Module, timm.create_model(name, **settings))
    except (OSError, RuntimeError, ValueError) as error:
        if not pretrained:
            raise
        raise CaptureError(
            f"timm can't fetch the weights of {name} ({str(error).splitlines()[0]}): they need a connection; "
            "or give a file you have with --weights"
        ) from error


def _timm() -> ModuleType:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise CaptureError(f"timm is not installed ({error}): pip install 'convscope[timm]'") from error
    except Exception as error:  # a torchvision that does not match torch raises anything
        cause = f"{type(error).__name__}: {error}"
        raise CaptureError(f"timm can't be imported ({cause}): reinstall it beside torch") from error
