"""Squeeze-and-excitation networks (2017): residual blocks with a gate for each channel; the winner of ILSVRC 2017.

Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018, arXiv:1709.01507, section 3, table 1 and, for SENet-154,
section 6.5 and the appendix. Parameters are named as in timm (`seresnet50`, `senet154`), so that its weight files load.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from convscope.nets.layers import SqueezeExcitation, in_order, kaiming_fan_out, takes_small_stem
from convscope.nets.resnet import BLOCKS, WIDTHS

STAGES = {
    "seresnet50": (
        ("conv1", (64, 112, 112)),
        ("maxpool", (64, 56, 56)),
        ("layer1", (256, 56, 56)),
        ("layer2", (512, 28, 28)),
        ("layer3", (1024, 14, 14)),
        ("layer4", (2048, 7, 7)),
        ("avgpool", (2048, 1, 1)),
        ("fc", (1000,)),
    ),
    "senet154": (
        ("conv1", (128, 112, 112)),
        ("maxpool", (128, 56, 56)),
        ("layer1", (256, 56, 56)),
        ("layer2", (512, 28, 28)),
        ("layer3", (1024, 14, 14)),
        ("layer4", (2048, 7, 7)),
        ("avgpool", (2048, 1, 1)),
        ("fc", (1000,)),
    ),
}

REDUCTION = 16  # table 10: a good trade of error against size


class SEBottleneck(nn.Module):
    """1x1, 3x3, 1x1, then the channels weighed, around a shortcut: (N, in, H, W) to (N, 4 * width, H / stride, ...).

    `inner` is the width of the 1x1 and the 3x3 (two numbers, as SENet-154 has them), `groups` the 3x3's.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        *,
        inner: tuple[int, int],
        groups: int = 1,
        shortcut_kernel: int = 1,
    ) -> None:
        super().__init__()
        first, second = inner
        out_channels = 4 * width
        self.conv1 = nn.Conv2d(in_channels, first, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(first, second, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(second, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se = SqueezeExcitation(out_channels, out_channels // REDUCTION)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            # SENet-154 replaces the 1x1 of a shortcut that halves the map by a 3x3.
            kernel = shortcut_kernel if stride != 1 else 1
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.relu3 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the gated output to the input."""
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        x = self.se(self.bn3(self.conv3(x)))
        out: torch.Tensor = self.relu3(x + kept)
        return out


def _head(channels: int, num_classes: int, dropout: float) -> dict[str, nn.Module]:
    return {
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
        "fc": nn.Linear(channels, num_classes),
    }


def seresnet50(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: tuple[int, int] = (224, 224),
    stem: Literal["auto", "imagenet", "small"] = "auto",
) -> nn.Sequential:
    """Build ResNet-50 with squeeze-and-excitation in every block, for images (N, in_channels, H, W) of any size.

    Images with a side below 64 pixels get ResNet's stem for small images, when `stem` is "auto".
    """
    small = takes_small_stem(stem, image_size)
    first = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False) if small else _seven(in_channels)
    parts: dict[str, nn.Module] = {
        "conv1": first,
        "bn1": nn.BatchNorm2d(64),
        "relu1": nn.ReLU(),
        "maxpool": nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1),
    }
    channels = 64
    for number, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS[50], strict=True), start=1):
        stage = []
        for index in range(blocks):
            stride = 2 if index == 0 and number > 1 else 1
            stage.append(SEBottleneck(channels, width, stride, inner=(width, width)))
            channels = 4 * width
        parts[f"layer{number}"] = nn.Sequential(*stage)
    network = in_order({**parts, **_head(channels, num_classes, dropout=0.0)})
    kaiming_fan_out(network)
    return network


def senet154(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """Build SENet-154 for images (N, in_channels, H, W): ResNeXt-152, 64 groups, channel gates and five changes.

    The changes (appendix): twice the maps in the 3x3, half in the first 1x1, a stem of three 3x3, 3x3 shortcuts where
    the map is halved, dropout before the classifier.
    """
    stem = nn.Sequential(
        nn.Conv2d(in_channels, 64, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3, padding=1, bias=False),
    )
    parts: dict[str, nn.Module] = {
        "conv1": stem,
        "bn1": nn.BatchNorm2d(128),
        "relu1": nn.ReLU(),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    channels = 128
    for number, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS[152], strict=True), start=1):
        stage = []
        for index in range(blocks):
            stride = 2 if index == 0 and number > 1 else 1
            stage.append(
                SEBottleneck(channels, width, stride, inner=(2 * width, 4 * width), groups=64, shortcut_kernel=3)
            )
            channels = 4 * width
        parts[f"layer{number}"] = nn.Sequential(*stage)
    network = in_order({**parts, **_head(channels, num_classes, dropout=0.2)})
    kaiming_fan_out(network)
    return network


def _seven(in_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
