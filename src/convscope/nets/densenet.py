"""DenseNet (2016): every layer reads all layers before it.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017, arXiv:1608.06993,
section 3 and table 1. Parameters are named as in torchvision, so that its weight files load.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from convscope.nets.layers import in_order, takes_small_stem

STAGES = {
    "densenet121": (
        ("features.conv0", (64, 112, 112)),
        ("features.pool0", (64, 56, 56)),
        ("features.denseblock1", (256, 56, 56)),
        ("features.transition1", (128, 28, 28)),
        ("features.denseblock2", (512, 28, 28)),
        ("features.transition2", (256, 14, 14)),
        ("features.denseblock3", (1024, 14, 14)),
        ("features.transition3", (512, 7, 7)),
        ("features.denseblock4", (1024, 7, 7)),
        ("classifier", (1000,)),
    ),
    "densenet169": (
        ("features.conv0", (64, 112, 112)),
        ("features.pool0", (64, 56, 56)),
        ("features.denseblock1", (256, 56, 56)),
        ("features.transition1", (128, 28, 28)),
        ("features.denseblock2", (512, 28, 28)),
        ("features.transition2", (256, 14, 14)),
        ("features.denseblock3", (1280, 14, 14)),
        ("features.transition3", (640, 7, 7)),
        ("features.denseblock4", (1664, 7, 7)),
        ("classifier", (1000,)),
    ),
    "densenet201": (
        ("features.conv0", (64, 112, 112)),
        ("features.pool0", (64, 56, 56)),
        ("features.denseblock1", (256, 56, 56)),
        ("features.transition1", (128, 28, 28)),
        ("features.denseblock2", (512, 28, 28)),
        ("features.transition2", (256, 14, 14)),
        ("features.denseblock3", (1792, 14, 14)),
        ("features.transition3", (896, 7, 7)),
        ("features.denseblock4", (1920, 7, 7)),
        ("classifier", (1000,)),
    ),
}

# Table 1: layers in each of the four blocks; each adds `GROWTH` maps.
LAYERS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
GROWTH = 32


class DenseLayer(nn.Module):
    """Norm-ReLU-1x1, norm-ReLU-3x3 (the bottleneck of section 3): (N, in, H, W) to (N, GROWTH, H, W)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(in_channels, 4 * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * GROWTH)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the new maps, without the input."""
        new: torch.Tensor = self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))
        return new


class DenseBlock(nn.Module):
    """Layers that each read the input and all maps made so far: (N, in, H, W) to (N, in + layers * GROWTH, H, W)."""

    def __init__(self, in_channels: int, layers: int) -> None:
        super().__init__()
        for index in range(layers):
            self.add_module(f"denselayer{index + 1}", DenseLayer(in_channels + index * GROWTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Append each layer's maps to the input of the next layer."""
        for layer in self.children():
            x = torch.cat([x, layer(x)], 1)
        return x


def transition(in_channels: int) -> nn.Sequential:
    """Build a transition to half the maps and half the size: (N, in, H, W) to (N, in // 2, H // 2, W // 2)."""
    return in_order(
        {
            "norm": nn.BatchNorm2d(in_channels),
            "relu": nn.ReLU(),
            "conv": nn.Conv2d(in_channels, in_channels // 2, 1, bias=False),
            "pool": nn.AvgPool2d(2),
        }
    )


def densenet(
    *,
    depth: Literal[121, 169, 201],
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: tuple[int, int] = (224, 224),
    stem: Literal["auto", "imagenet", "small"] = "auto",
) -> nn.Sequential:
    """Build a DenseNet-BC with growth 32 for images (N, in_channels, H, W).

    Args:
        depth: weighted layers, as in table 1.
        num_classes: outputs.
        in_channels: input channels.
        image_size: (H, W) in pixels; it decides the stem when `stem` is "auto".
        stem: "imagenet" is table 1's 7x7 with stride 2 and pooling; "small" the 3x3 at full size of the paper's CIFAR
            networks (section 4.2), for images with a side below 64 pixels.

    Raises:
        GeometryError: an image too small for the transitions.
    """
    if takes_small_stem(stem, image_size):
        first: nn.Module = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        pooling: nn.Module = nn.Identity()
    else:
        first = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        pooling = nn.MaxPool2d(3, stride=2, padding=1)
    parts: dict[str, nn.Module] = {"conv0": first, "norm0": nn.BatchNorm2d(64), "relu0": nn.ReLU(), "pool0": pooling}
    channels = 64
    for number, layers in enumerate(LAYERS[depth], start=1):
        parts[f"denseblock{number}"] = DenseBlock(channels, layers)
        channels += layers * GROWTH
        if number < len(LAYERS[depth]):
            parts[f"transition{number}"] = transition(channels)
            channels //= 2
    parts["norm5"] = nn.BatchNorm2d(channels)
    network = in_order(
        {
            "features": in_order(parts),
            "relu": nn.ReLU(),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "classifier": nn.Linear(channels, num_classes),
        }
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network
