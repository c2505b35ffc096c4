"""The residual networks for CIFAR-10 (2015): 6n + 2 layers in three stages of 16, 32 and 64 maps.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, section 4.2 and
table 6. Parameters are named as in the published checkpoints of these networks, so that they load: those without
projections (`shortcut="padding"`) and those with them (`shortcut="projection"`).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from convscope.nets.layers import kaiming_fan_out
from convscope.nets.resnet import BasicBlock, shortcut

STAGES = {
    "resnet20 resnet32 resnet44 resnet56 resnet110": (
        ("conv1", (16, 32, 32)),
        ("layer1", (16, 32, 32)),
        ("layer2", (32, 16, 16)),
        ("layer3", (64, 8, 8)),
        ("avgpool", (64, 1, 1)),
        ("fc", (10,)),
    ),
}

WIDTHS = (16, 32, 64)

Shortcut = Literal["padding", "projection"]


class PaddedShortcut(nn.Module):
    """Option A of section 3.3, without parameters: (N, in, H, W) to (N, out, H / stride, W / stride).

    Every `stride`-th pixel is kept, and the new channels are zero. The paper does not say where they are added; here
    half lies before the others and half behind, as in the published checkpoints.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        before = (out_channels - in_channels) // 2
        self.added = (before, out_channels - in_channels - before)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the kept pixels between channels of zeros."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.added))

    def extra_repr(self) -> str:
        """Return the settings that torch prints."""
        return f"stride={self.stride}, added={self.added}"


def _shortcut(kind: Shortcut, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Build the shortcut of a block; None is the identity, where the shape stays."""
    if kind == "projection" or (stride == 1 and in_channels == out_channels):
        return shortcut(in_channels, out_channels, stride)
    return PaddedShortcut(in_channels, out_channels, stride)


class CifarResNet(nn.Module):
    """A 3x3 convolution, three stages of blocks, the mean over the map, one linear layer: (N, C, H, W) to scores."""

    def __init__(self, *, depth: int, num_classes: int, in_channels: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        channels = 16
        for number, width in enumerate(WIDTHS, start=1):
            stage: list[nn.Module] = []
            for index in range((depth - 2) // 6):
                stride = 2 if index == 0 and number > 1 else 1
                kept = _shortcut(shortcut, channels, width, stride)
                stage.append(BasicBlock(channels, width, stride, downsample=kept))
                channels = width
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)
        kaiming_fan_out(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes) of images (N, C, H, W)."""
        x = self.relu(self.bn1(self.conv1(x)))
        for number in range(1, 1 + len(WIDTHS)):
            x = self.get_submodule(f"layer{number}")(x)
        scores: torch.Tensor = self.fc(self.flatten(self.avgpool(x)))
        return scores


def resnet_cifar(
    *,
    depth: Literal[20, 32, 44, 56, 110],
    num_classes: int = 10,
    in_channels: int = 3,
    shortcut: Literal["padding", "projection"] = "padding",
) -> CifarResNet:
    """Build a residual network for small images (N, in_channels, H, W).

    Args:
        depth: weighted layers, 6n + 2: three stages of n blocks of two convolutions, the first and the last layer.
        num_classes: outputs.
        in_channels: input channels.
        shortcut: where the map is halved: "padding" (option A: zeros for the new channels, no parameters), with which
            the paper measures its CIFAR networks; or "projection" (option B: a 1x1 convolution and batch
            normalization).

    >>> sum(p.numel() for p in resnet_cifar(depth=20).parameters())
    269722
    >>> sum(p.numel() for p in resnet_cifar(depth=20, shortcut="projection").parameters())
    272474
    """
    return CifarResNet(depth=depth, num_classes=num_classes, in_channels=in_channels, shortcut=shortcut)
