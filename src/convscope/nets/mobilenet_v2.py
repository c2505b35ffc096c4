"""MobileNetV2 (2018): wide inside, narrow between, and no ReLU where it is narrow.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv:1801.04381, section 3 and table 2. Parameters are named as in torchvision, so that its weight files load.
"""

from __future__ import annotations

import torch
from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.layers import ConvNorm, in_order, kaiming_fan_out

STAGES = {
    "mobilenet_v2": (
        ("features.0", (32, 112, 112)),
        ("features.1", (16, 112, 112)),
        ("features.3", (24, 56, 56)),
        ("features.6", (32, 28, 28)),
        ("features.10", (64, 14, 14)),
        ("features.13", (96, 14, 14)),
        ("features.16", (160, 7, 7)),
        ("features.17", (320, 7, 7)),
        ("features.18", (1280, 7, 7)),
        ("avgpool", (1280, 1, 1)),
        ("classifier.1", (1000,)),
    ),
}

# Table 2: (expansion t, maps c, repetitions n, stride s of the first).
BOTTLENECKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class InvertedResidual(nn.Module):
    """1x1 up by `expansion`, 3x3 within each map, 1x1 down without ReLU (figure 4d).

    (N, in, H, W) to (N, out, H / stride, W / stride); the input is added where the shapes agree.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        up = [] if expansion == 1 else [ConvNorm(in_channels, wide, 1, activation=nn.ReLU6)]
        self.conv = nn.Sequential(
            *up,
            ConvNorm(wide, wide, 3, stride=stride, groups=wide, activation=nn.ReLU6),
            nn.Conv2d(wide, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, added to the input if the shapes agree."""
        out: torch.Tensor = self.conv(x)
        return x + out if self.residual else out


def mobilenet_v2(*, num_classes: int = 1000, in_channels: int = 3, dropout: Probability = 0.2) -> nn.Sequential:
    """Build MobileNetV2 for images (N, in_channels, H, W) of any size."""
    layers: list[nn.Module] = [ConvNorm(in_channels, 32, 3, stride=2, activation=nn.ReLU6)]
    channels = 32
    for expansion, maps, repetitions, stride in BOTTLENECKS:
        for index in range(repetitions):
            layers.append(InvertedResidual(channels, maps, stride if index == 0 else 1, expansion))
            channels = maps
    layers.append(ConvNorm(channels, 1280, 1, activation=nn.ReLU6))
    network = in_order(
        {
            "features": nn.Sequential(*layers),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "classifier": nn.Sequential(nn.Dropout(dropout), nn.Linear(1280, num_classes)),
        }
    )
    kaiming_fan_out(network)
    return network
