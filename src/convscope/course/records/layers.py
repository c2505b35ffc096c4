"""First layers of networks that are in the catalogue, as settings that a widget starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convscope.course.record import WidgetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RealLayer:
    """A convolution of a published network: its title, its input's side, and its settings."""

    title: str
    side: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0


REAL_LAYERS: Mapping[str, RealLayer] = {
    "lenet": RealLayer(title="LeNet-5, conv1", side=32, channels=1, filters=6, kernel=5),
    "alexnet": RealLayer(title="AlexNet, conv1", side=227, channels=3, filters=96, kernel=11, stride=4),
    "vgg": RealLayer(title="VGG-16, conv1_1", side=224, channels=3, filters=64, kernel=3, padding=1),
    "resnet": RealLayer(title="ResNet-18, conv1", side=224, channels=3, filters=64, kernel=7, stride=2, padding=3),
    "vit": RealLayer(title="ViT-B/16, patches", side=224, channels=3, filters=768, kernel=16, stride=16),
}


def _real_layers() -> dict[str, Any]:
    return {
        name: {
            "title": layer.title,
            "side": layer.side,
            "channels": layer.channels,
            "filters": layer.filters,
            "kernel": layer.kernel,
            "stride": layer.stride,
            "padding": layer.padding,
        }
        for name, layer in REAL_LAYERS.items()
    }


RECORDS: Mapping[str, WidgetRecord] = {"real-layers": WidgetRecord(make=_real_layers, choices={})}
