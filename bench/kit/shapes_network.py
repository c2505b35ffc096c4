"""The network of `bench/known_answer.py`: a residual network of three stages, small enough to train in minutes."""

from __future__ import annotations

import torch
from torch import nn

from convscope.nets.layers import kaiming_fan_out
from convscope.nets.resnet import BasicBlock, shortcut

WIDTHS = (16, 32, 64)


class ShapesNetwork(nn.Module):
    """A convolution with a stride, three stages of one block, the mean over the map, one linear layer.

    The last map has 8x8 cells of a 64-pixel image, and 14x14 of one of 224.
    """

    def __init__(self, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        stride = 2 if image_size < 128 else 4
        self.conv1 = nn.Conv2d(in_channels, WIDTHS[0], 2 * stride + 1, stride=stride, padding=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        channels = WIDTHS[0]
        for number, width in enumerate(WIDTHS, start=1):
            step = 1 if number == 1 else 2
            kept = shortcut(channels, width, step)
            self.add_module(f"layer{number}", BasicBlock(channels, width, step, downsample=kept))
            channels = width
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


def network(*, num_classes: int = 4, in_channels: int = 3, image_size: int = 64) -> ShapesNetwork:
    """Build the network for square images."""
    return ShapesNetwork(num_classes=num_classes, in_channels=in_channels, image_size=image_size)
