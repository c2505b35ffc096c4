"""Residual networks (2015): a block adds its output to its input.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, section 3 and table 1.
Parameters are named as in torchvision, so that its weight files load.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from convscope.errors import GeometryError
from convscope.nets.layers import kaiming_fan_out, takes_small_stem

STAGES = {
    "resnet18 resnet34": (
        ("conv1", (64, 112, 112)),
        ("maxpool", (64, 56, 56)),
        ("layer1", (64, 56, 56)),
        ("layer2", (128, 28, 28)),
        ("layer3", (256, 14, 14)),
        ("layer4", (512, 7, 7)),
        ("avgpool", (512, 1, 1)),
        ("fc", (1000,)),
    ),
    "resnet50 resnet101 resnet152": (
        ("conv1", (64, 112, 112)),
        ("maxpool", (64, 56, 56)),
        ("layer1", (256, 56, 56)),
        ("layer2", (512, 28, 28)),
        ("layer3", (1024, 14, 14)),
        ("layer4", (2048, 7, 7)),
        ("avgpool", (2048, 1, 1)),
        ("fc", (1000,)),
    ),
}

WIDTHS = (64, 128, 256, 512)

# Table 1: blocks in each of the four stages.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Build the projection of section 3.3, option B: 1x1 if the shape changes, else the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (figure 5, left): (N, in, H, W) to (N, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, *, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the output of the two convolutions to the input."""
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        out: torch.Tensor = self.relu2(x + kept)
        return out


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up by four (figure 5, right): (N, in, H, W) to (N, 4 * width, H / stride, W / stride)."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, *, downsample: nn.Module | None, stride_in: str
    ) -> None:
        super().__init__()
        # The paper strides in the first 1x1, which leaves three pixels in four unread; "v1.5" strides in the 3x3.
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = downsample
        self.relu3 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the output of the three convolutions to the input."""
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        out: torch.Tensor = self.relu3(x + kept)
        return out


class ResNet(nn.Module):
    """Stem, four stages of blocks, the mean over the map, one linear layer: (N, C, H, W) to (N, num_classes)."""

    def __init__(self, *, depth: int, num_classes: int, in_channels: int, small_stem: bool, stride_in: str) -> None:
        super().__init__()
        expansion = BasicBlock.expansion if depth < 50 else Bottleneck.expansion
        if small_stem:
            # Section 4.2's CIFAR networks begin with one 3x3 convolution at full size; the stages stay table 1's.
            self.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool: nn.Module = nn.Identity() if small_stem else nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for number, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True), start=1):
            stage: list[nn.Module] = []
            for index in range(blocks):
                stride = 2 if index == 0 and number > 1 else 1
                kept = shortcut(channels, width * expansion, stride)
                stage.append(
                    BasicBlock(channels, width, stride, downsample=kept)
                    if depth < 50
                    else Bottleneck(channels, width, stride, downsample=kept, stride_in=stride_in)
                )
                channels = width * expansion
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)
        kaiming_fan_out(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes) of images (N, C, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        scores: torch.Tensor = self.fc(self.flatten(self.avgpool(x)))
        return scores


def resnet(
    *,
    depth: Literal[18, 34, 50, 101, 152],
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: tuple[int, int] = (224, 224),
    stem: Literal["auto", "imagenet", "small"] = "auto",
    stride_in: Literal["3x3", "1x1"] = "3x3",
) -> ResNet:
    """Build a residual network for images (N, in_channels, H, W) of any size.

    Args:
        depth: weighted layers, as in table 1.
        num_classes: outputs.
        in_channels: input channels.
        image_size: (H, W) in pixels; it decides the stem when `stem` is "auto".
        stem: "imagenet" is the paper's 7x7 with stride 2 and pooling; "small" is one 3x3 at full size, for images
            with a side below 64 pixels, where the paper's stem would leave hardly any map.
        stride_in: where a bottleneck halves the map: "3x3" as torchvision does (called v1.5), "1x1" as the paper does.

    Raises:
        GeometryError: a stride in the 1x1 of a depth below 50, whose blocks have none.

    >>> resnet(depth=18, num_classes=10, image_size=(32, 32)).conv1.kernel_size
    (3, 3)
    """
    if depth < 50 and stride_in == "1x1":
        raise GeometryError(f"the blocks of ResNet-{depth} are two 3x3, without a 1x1: leave stride_in at 3x3")
    return ResNet(
        depth=depth,
        num_classes=num_classes,
        in_channels=in_channels,
        small_stem=takes_small_stem(stem, image_size),
        stride_in=stride_in,
    )
