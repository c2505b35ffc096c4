"""MobileNetV3 (2019): MobileNetV2's block with squeeze-and-excitation and h-swish, found by architecture search.

Howard and others, "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244, section 5, tables 1 and 2. Parameters are
named as in torchvision, so that its weight files load.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.layers import ConvNorm, SqueezeExcitation, in_order, kaiming_fan_out

STAGES = {
    "mobilenet_v3_large": (
        ("features.0", (16, 112, 112)),
        ("features.3", (24, 56, 56)),
        ("features.6", (40, 28, 28)),
        ("features.10", (80, 14, 14)),
        ("features.12", (112, 14, 14)),
        ("features.15", (160, 7, 7)),
        ("features.16", (960, 7, 7)),
        ("avgpool", (960, 1, 1)),
        ("classifier.0", (1280,)),
        ("classifier.3", (1000,)),
    ),
    "mobilenet_v3_small": (
        ("features.0", (16, 112, 112)),
        ("features.1", (16, 56, 56)),
        ("features.3", (24, 28, 28)),
        ("features.6", (40, 14, 14)),
        ("features.8", (48, 14, 14)),
        ("features.11", (96, 7, 7)),
        ("features.12", (576, 7, 7)),
        ("avgpool", (576, 1, 1)),
        ("classifier.0", (1024,)),
        ("classifier.3", (1000,)),
    ),
}

# Tables 1 and 2: (kernel, expanded maps, maps, channels weighed, activation: ReLU or h-swish, stride).
BLOCKS = {
    "large": (
        (3, 16, 16, False, "RE", 1), (3, 64, 24, False, "RE", 2), (3, 72, 24, False, "RE", 1),
        (5, 72, 40, True, "RE", 2), (5, 120, 40, True, "RE", 1), (5, 120, 40, True, "RE", 1),
        (3, 240, 80, False, "HS", 2), (3, 200, 80, False, "HS", 1), (3, 184, 80, False, "HS", 1),
        (3, 184, 80, False, "HS", 1), (3, 480, 112, True, "HS", 1), (3, 672, 112, True, "HS", 1),
        (5, 672, 160, True, "HS", 2), (5, 960, 160, True, "HS", 1), (5, 960, 160, True, "HS", 1),
    ),
    "small": (
        (3, 16, 16, True, "RE", 2), (3, 72, 24, False, "RE", 2), (3, 88, 24, False, "RE", 1),
        (5, 96, 40, True, "HS", 2), (5, 240, 40, True, "HS", 1), (5, 240, 40, True, "HS", 1),
        (5, 120, 48, True, "HS", 1), (5, 144, 48, True, "HS", 1),
        (5, 288, 96, True, "HS", 2), (5, 576, 96, True, "HS", 1), (5, 576, 96, True, "HS", 1),
    ),
}  # fmt: skip
HIDDEN = {"large": 1280, "small": 1024}

_ACTIVATIONS: dict[str, type[nn.Module]] = {"RE": nn.ReLU, "HS": nn.Hardswish}


def unit(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None,
) -> ConvNorm:
    """Build a convolution, batch normalization with the paper's momentum (section 6.1.1), and an activation or none."""
    return ConvNorm(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        groups=groups,
        activation=activation,
        eps=0.001,
        momentum=0.01,
    )


def squeezed(channels: int) -> int:
    """Return a quarter of the channels, rounded to a multiple of 8, never down by more than a tenth (section 5.3).

    >>> squeezed(72), squeezed(16)
    (24, 8)
    """
    quarter = channels // 4
    rounded = max(8, (quarter + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * quarter else rounded


class InvertedResidualV3(nn.Module):
    """1x1 up, a window within each map, the channels weighed, 1x1 down without activation (figure 4)."""

    def __init__(
        self,
        in_channels: int,
        kernel_size: int,
        expanded: int,
        out_channels: int,
        weighed: bool,
        activation: type[nn.Module],
        stride: int,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if expanded != in_channels:
            layers.append(unit(in_channels, expanded, 1, activation=activation))
        layers.append(unit(expanded, expanded, kernel_size, stride=stride, groups=expanded, activation=activation))
        if weighed:
            layers.append(SqueezeExcitation(expanded, squeezed(expanded), gate=nn.Hardsigmoid))
        layers.append(unit(expanded, out_channels, 1, activation=None))
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, out, H / stride, W / stride) from (N, in, H, W)."""
        out: torch.Tensor = self.block(x)
        return x + out if self.residual else out


def mobilenet_v3(
    *, size: Literal["large", "small"], num_classes: int = 1000, in_channels: int = 3, dropout: Probability = 0.2
) -> nn.Sequential:
    """Build MobileNetV3 for images (N, in_channels, H, W) of any size."""
    layers: list[nn.Module] = [unit(in_channels, 16, 3, stride=2, activation=nn.Hardswish)]
    channels = 16
    for kernel_size, expanded, maps, weighed, activation, stride in BLOCKS[size]:
        layers.append(
            InvertedResidualV3(channels, kernel_size, expanded, maps, weighed, _ACTIVATIONS[activation], stride)
        )
        channels = maps
    layers.append(unit(channels, 6 * channels, 1, activation=nn.Hardswish))
    classifier = nn.Sequential(
        nn.Linear(6 * channels, HIDDEN[size]),
        nn.Hardswish(),
        nn.Dropout(dropout),
        nn.Linear(HIDDEN[size], num_classes),
    )
    network = in_order(
        {
            "features": nn.Sequential(*layers),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "classifier": classifier,
        }
    )
    kaiming_fan_out(network)
    return network
