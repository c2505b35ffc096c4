"""torchvision's networks, also beside a torch for which its C++ operators are not built."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
# Shapes of one sample where the weights' preprocessing does not say; by how the names begin.
_SHAPES: tuple[tuple[tuple[str, ...], tuple[tuple[int, ...], ...]], ...] = (
    (("vit",), ((3, 224, 224),)),  # built for 224 pixels whatever the weights
    (("raft",), ((3, 224, 224), (3, 224, 224))),
    (("fasterrcnn", "fcos", "keypointrcnn", "maskrcnn", "retinanet", "ssd"), ((3, 320, 320),)),
)
FRAMES = 16
_WITH_BACKBONE = ("fasterrcnn", "fcos", "keypointrcnn", "maskrcnn", "retinanet", "ssd", "fcn", "deeplab", "lraspp")
_LONG_INITIALIZATION = ("googlenet", "inception_v3", "quantized_googlenet", "quantized_inception_v3")

# What keeps the declared operators alive.
_DECLARED: list[torch.library.Library] = []


def import_torchvision() -> tuple[ModuleType, tuple[str, ...]]:
    """Return torchvision, and the operators that are stand-ins because its own do not load beside this torch.

    The stand-ins have the right shapes: `nms` keeps every box, `roi_align` returns zeros. `qnms` is declared alone.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    if _DECLARED:
        return sys.modules["torchvision"], _names()
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("torchvision is not installed: pip install torchvision", name="torchvision")
    if _own_operators_load(Path(found.origin).parent):
        import torchvision

        return torchvision, ()
    library = torch.library.Library("torchvision", "FRAGMENT")
    _DECLARED.append(library)
    for schema in _SCHEMAS:
        library.define(schema)
    library.impl("nms", lambda boxes, scores, threshold: torch.arange(len(boxes)), "CPU")
    library.impl("roi_align", _roi_align, "CPU")
    import torchvision

    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] == "torchvision":
            for check, answer in (("_assert_has_ops", None), ("_has_ops", True)):
                if hasattr(module, check):
                    setattr(module, check, lambda answer=answer: answer)
    return torchvision, _names()


def _own_operators_load(folder: Path) -> bool:
    try:
        for path in folder.glob("_C*.so"):
            torch.ops.load_library(str(path))
            return True
    except OSError:
        return False
    return False


def _names() -> tuple[str, ...]:
    return tuple(schema.partition("(")[0] for schema in _SCHEMAS)


def _roi_align(maps: torch.Tensor, boxes: torch.Tensor, scale: float, height: int, width: int, *_: Any) -> torch.Tensor:
    return maps.new_zeros(len(boxes), maps.shape[1], height, width)


def builder(name: str) -> Callable[[], nn.Module]:
    """Return a function that builds a network with random weights; quantized ones before they are quantized."""
    from torchvision.models import get_model

    settings: dict[str, Any] = {"weights": None}
    if name.startswith(_WITH_BACKBONE):
        settings["weights_backbone"] = None
    if name.startswith("quantized"):
        settings["quantize"] = False
    if name in _LONG_INITIALIZATION:
        settings["init_weights"] = False
    return lambda: get_model(name, **settings)


def input_shapes(name: str) -> tuple[tuple[int, ...], ...]:
    """Return the shape of one sample of each input, as the weights' preprocessing makes it."""
    from torchvision.models import get_model_weights

    for beginnings, shapes in _SHAPES:
        if name.startswith(beginnings):
            return shapes
    weights = next(iter(get_model_weights(name)))
    transforms = weights.transforms()
    size = list(getattr(transforms, "crop_size", None) or transforms.resize_size)
    height, width = size if len(size) == 2 else size * 2
    return ((3, FRAMES, height, width),) if ".video." in type(weights).__module__ else ((3, height, width),)
