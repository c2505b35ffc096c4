"""The lecture notes' own small networks, and the one of CNN Explainer.

The 39x39 example and the block whose shapes are tracked are worked examples; the fundus network answers the notes'
design exercise. TinyVGG is Wang and others, "CNN Explainer", IEEE TVCG 2020, arXiv:2004.15004, section 4.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from convscope.nets.layers import in_order
from convscope.nets.shapes import flat_features

STAGES = {
    "notes-39": (
        ("conv1", (10, 37, 37)),
        ("conv2", (20, 17, 17)),
        ("conv3", (40, 7, 7)),
        ("flatten", (1960,)),
        ("fc", (10,)),
    ),
    "notes-block": (
        ("conv1", (16, 64, 64)),
        ("pool1", (16, 32, 32)),
        ("conv2", (32, 32, 32)),
        ("pool2", (32, 16, 16)),
        ("conv3", (64, 16, 16)),
        ("avgpool", (64, 1, 1)),
    ),
    "notes-fundus": (
        ("block1", (32, 256, 256)),
        ("block2", (64, 128, 128)),
        ("block3", (128, 64, 64)),
        ("block4", (256, 32, 32)),
        ("avgpool", (256, 1, 1)),
        ("fc", (5,)),
    ),
    "tinyvgg": (
        ("conv1_1", (10, 62, 62)),
        ("conv1_2", (10, 60, 60)),
        ("pool1", (10, 30, 30)),
        ("conv2_1", (10, 28, 28)),
        ("conv2_2", (10, 26, 26)),
        ("pool2", (10, 13, 13)),
        ("fc", (10,)),
    ),
}


def notes_39(*, num_classes: int = 10, in_channels: int = 3, image_size: tuple[int, int] = (39, 39)) -> nn.Sequential:
    """Build the notes' first network: three convolutions without pooling, 39x39x3 to 7x7x40, and a softmax layer.

    The notes name no activation; ReLU is used here.

    Raises:
        GeometryError: an image too small for the three windows.
    """
    features: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 10, 3),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(10, 20, 5, stride=2),
        "relu2": nn.ReLU(),
        "conv3": nn.Conv2d(20, 40, 5, stride=2),
        "relu3": nn.ReLU(),
        "flatten": nn.Flatten(),
    }
    width = flat_features(in_order(features), (in_channels, *image_size), name="")
    return in_order({**features, "fc": nn.Linear(width, num_classes)})


def notes_block(*, num_classes: int = 64, in_channels: int = 3) -> nn.Sequential:
    """Build the block whose shapes the notes track: 16, 32 and 64 maps, pooling between, then global average pooling.

    It has no classifier: with 64 classes its 64 means are the scores (23,584 parameters); another count adds a linear
    layer after them.
    """
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 16, 3, padding=1),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(16, 32, 3, padding=1),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "conv3": nn.Conv2d(32, 64, 3, padding=1),
        "relu3": nn.ReLU(),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    if num_classes != 64:
        layers["fc"] = nn.Linear(64, num_classes)
    return in_order(layers)


def notes_fundus(
    *, num_classes: int = 5, in_channels: int = 3, downsampling: Literal["max", "stride"] = "max"
) -> nn.Sequential:
    """Build the notes' design for 512x512 fundus photographs in 5 grades: four pairs of 3x3, batch normalization.

    Args:
        num_classes: outputs.
        in_channels: input channels.
        downsampling: "max" pools 2x2 after each pair; "stride" gives the second convolution of a pair stride 2,
            which the notes call increasingly preferred.
    """
    layers: dict[str, nn.Module] = {}
    channels = in_channels
    for number, width in enumerate((32, 64, 128, 256), start=1):
        stride = 2 if downsampling == "stride" else 1
        pair: list[nn.Module] = [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        layers[f"block{number}"] = nn.Sequential(*pair, *([nn.MaxPool2d(2)] if stride == 1 else []))
        channels = width
    return in_order(
        {
            **layers,
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(channels, num_classes),
        }
    )


def tinyvgg(*, num_classes: int = 10, in_channels: int = 3, image_size: tuple[int, int] = (64, 64)) -> nn.Sequential:
    """Build CNN Explainer's network: four 3x3 convolutions of 10 maps without padding, two poolings, one linear layer.

    Raises:
        GeometryError: an image too small for the windows.
    """
    layers: dict[str, nn.Module] = {
        "conv1_1": nn.Conv2d(in_channels, 10, 3),
        "relu1_1": nn.ReLU(),
        "conv1_2": nn.Conv2d(10, 10, 3),
        "relu1_2": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2_1": nn.Conv2d(10, 10, 3),
        "relu2_1": nn.ReLU(),
        "conv2_2": nn.Conv2d(10, 10, 3),
        "relu2_2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
    }
    width = flat_features(in_order(layers), (in_channels, *image_size), name="")
    return in_order({**layers, "fc": nn.Linear(width, num_classes)})
