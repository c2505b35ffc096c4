"""Small parts that several papers' files share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import nn

# ImageNet's stems divide a side by 4 before the first block; below this many pixels hardly any map would be left.
SMALL_IMAGE = 64


def in_order(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return a Sequential with named layers, so that a network reads like its paper's table.

    >>> [name for name, _ in in_order({"conv1": nn.Conv2d(3, 8, 3), "relu1": nn.ReLU()}).named_children()]
    ['conv1', 'relu1']
    """
    return nn.Sequential(OrderedDict(layers))


def kaiming_fan_out(network: nn.Module) -> None:
    """Initialize every convolution by He and others (2015), with fan-out, as the ResNet papers do."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class ConvNorm(nn.Sequential):
    """Convolution, batch normalization and, unless it is None, an activation; sizes kept unless strided.

    Children are named "0", "1" and "2", as torchvision names them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride=stride,
                padding=kernel_size // 2,
                groups=groups,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels, eps=eps, momentum=momentum),
        ]
        super().__init__(*layers, *([] if activation is None else [activation()]))


class SqueezeExcitation(nn.Module):
    """A gate for each channel, computed from the means of all maps: (N, C, H, W) to the same.

    Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 3: mean over the map, two full connections
    (1x1 convolutions here) with a ReLU between, and a gate between 0 and 1.
    """

    def __init__(self, channels: int, squeezed: int, *, gate: type[nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale each channel of each sample by its gate."""
        scaled: torch.Tensor = x * self.gate(self.fc2(self.relu(self.fc1(self.avgpool(x)))))
        return scaled


def takes_small_stem(stem: str, image_size: Sequence[int]) -> bool:
    """Return whether `stem` ("auto", "imagenet" or "small") is the small one for images of this size, in pixels.

    >>> takes_small_stem("auto", (32, 32)), takes_small_stem("auto", (64, 64)), takes_small_stem("small", (224, 224))
    (True, False, True)
    """
    return stem == "small" or (stem == "auto" and min(image_size) < SMALL_IMAGE)
