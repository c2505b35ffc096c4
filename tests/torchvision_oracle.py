"""torchvision and timm as the other side of a comparison, where they are installed; never needed by the product."""

from __future__ import annotations

import contextlib
import warnings
from types import ModuleType

import pytest
import torch


def torchvision_or_skip() -> ModuleType:
    """torchvision; its Python parts import beside a torch that it was not built for once two schemas are declared."""
    try:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in (
            "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        ):
            with contextlib.suppress(RuntimeError):  # declared already, by torchvision itself or by an earlier call
                library.define(schema)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torchvision
            import torchvision.models.video
    except Exception as error:  # a broken torchvision raises anything
        pytest.skip(f"torchvision is not here to compare with ({type(error).__name__}: {error})")
    return torchvision


def timm_or_skip() -> ModuleType:
    """timm, which itself imports torchvision."""
    torchvision_or_skip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import timm
    except Exception as error:
        pytest.skip(f"timm is not here to compare with ({type(error).__name__}: {error})")
    return timm
