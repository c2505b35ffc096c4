"""GoogLeNet (2014): windows of several sizes in parallel, behind 1x1 convolutions that reduce their cost.

Szegedy and others, "Going Deeper with Convolutions", CVPR 2015, arXiv:1409.4842, section 5, figures 2 and 3, table 1.
The default form is torchvision's, and its parameters are named as there, so that its weight files load.
"""

from __future__ import annotations

import torch
from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.layers import in_order

STAGES = {
    "googlenet googlenet-2014": (
        ("conv1", (64, 112, 112)),
        ("maxpool1", (64, 56, 56)),
        ("conv3", (192, 56, 56)),
        ("maxpool2", (192, 28, 28)),
        ("inception3a", (256, 28, 28)),
        ("inception3b", (480, 28, 28)),
        ("maxpool3", (480, 14, 14)),
        ("inception4a", (512, 14, 14)),
        ("inception4b", (512, 14, 14)),
        ("inception4c", (512, 14, 14)),
        ("inception4d", (528, 14, 14)),
        ("inception4e", (832, 14, 14)),
        ("maxpool4", (832, 7, 7)),
        ("inception5a", (832, 7, 7)),
        ("inception5b", (1024, 7, 7)),
        ("avgpool", (1024, 1, 1)),
        ("fc", (1000,)),
    ),
}

# Table 1: maps of the 1x1, of the 1x1 before the 3x3, the 3x3, the 1x1 before the 5x5, the 5x5, the pooled 1x1.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def unit(in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, norm: bool) -> nn.Sequential:
    """Build a convolution (size kept unless strided) and a ReLU, with batch normalization between them or a bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=not norm)
    if norm:
        return in_order({"conv": conv, "bn": nn.BatchNorm2d(out_channels, eps=0.001), "relu": nn.ReLU()})
    return in_order({"conv": conv, "relu": nn.ReLU()})


class Inception(nn.Module):
    """Four branches side by side (figure 2b): (N, in, H, W) to (N, sum of the branches, H, W)."""

    def __init__(self, in_channels: int, maps: tuple[int, ...], *, norm: bool, large: int) -> None:
        super().__init__()
        one, before_three, three, before_five, five, pooled = maps
        self.branch1 = unit(in_channels, one, 1, norm=norm)
        self.branch2 = nn.Sequential(
            unit(in_channels, before_three, 1, norm=norm), unit(before_three, three, 3, norm=norm)
        )
        self.branch3 = nn.Sequential(
            unit(in_channels, before_five, 1, norm=norm), unit(before_five, five, large, norm=norm)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), unit(in_channels, pooled, 1, norm=norm))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate the branches' maps."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class AuxiliaryHead(nn.Module):
    """A classifier on the maps half-way (section 5): (N, C, H, W) to (N, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int, *, norm: bool) -> None:
        super().__init__()
        # The paper pools 5x5 with stride 3, which makes 14x14 into 4x4; this gives 4x4 at every size.
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.conv = unit(in_channels, 128, 1, norm=norm)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes)."""
        x = self.relu(self.fc1(self.flatten(self.conv(self.pool(x)))))
        scores: torch.Tensor = self.fc2(self.dropout(x))
        return scores


class GoogLeNet(nn.Module):
    """A network from images (N, C, H, W) to scores (N, num_classes).

    With auxiliary heads, training mode returns (scores, scores of 4d's head, scores of 4a's head), for a loss with
    weights 1 and `auxiliary_weight`; evaluation mode returns the scores alone.
    """

    auxiliary_weight = 0.3  # section 5

    def __init__(self, *, num_classes: int, in_channels: int, auxiliary: bool, paper: bool, dropout: float) -> None:
        super().__init__()
        norm = not paper
        response = [nn.LocalResponseNorm(5, alpha=5e-4) if paper else nn.Identity() for _ in range(2)]
        self.conv1 = unit(in_channels, 64, 7, stride=2, norm=norm)
        self.maxpool1 = _pooling()
        self.norm1 = response[0]
        self.conv2 = unit(64, 64, 1, norm=norm)
        self.conv3 = unit(64, 192, 3, norm=norm)
        self.norm2 = response[1]
        self.maxpool2 = _pooling()
        channels = 192
        for name, maps in INCEPTIONS.items():
            # torchvision's "5x5" branch is 3x3, as in the TensorFlow code that it was ported from.
            self.add_module(f"inception{name}", Inception(channels, maps, norm=norm, large=5 if paper else 3))
            channels = maps[0] + maps[2] + maps[4] + maps[5]
        self.maxpool3 = _pooling()
        # torchvision pools 2x2 here; on the paper's 14x14 both give 7x7.
        self.maxpool4 = _pooling() if paper else nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.aux1 = AuxiliaryHead(512, num_classes, norm=norm) if auxiliary else None
        self.aux2 = AuxiliaryHead(528, num_classes, norm=norm) if auxiliary else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.01) if norm else nn.init.kaiming_normal_(module.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return scores (N, num_classes) of images (N, C, H, W)."""
        x = self.norm1(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm2(self.conv3(self.conv2(x))))
        early: list[torch.Tensor] = []
        for name in INCEPTIONS:
            if name in ("4a", "5a"):
                x = (self.maxpool3 if name == "4a" else self.maxpool4)(x)
            x = self.get_submodule(f"inception{name}")(x)
            head = {"4a": self.aux1, "4d": self.aux2}.get(name)
            if head is not None and self.training:
                early.insert(0, head(x))
        scores: torch.Tensor = self.fc(self.dropout(self.flatten(self.avgpool(x))))
        return (scores, *early) if early else scores


def _pooling() -> nn.MaxPool2d:
    """Build the 3x3 pooling with stride 2; table 1's 112 -> 56 -> 28 -> 14 -> 7 round up."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def googlenet(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    auxiliary: bool = False,
    paper: bool = False,
    dropout: Probability | None = None,
) -> GoogLeNet:
    """Build GoogLeNet for images (N, in_channels, H, W) of any size.

    Args:
        num_classes: outputs.
        in_channels: input channels.
        auxiliary: the two heads half-way; in training mode the network then returns three scores.
        paper: as in 2014: biases and response normalization instead of batch normalization, true 5x5 windows.
        dropout: share of the last maps dropped in training; None: 0.4 in the paper's form, else torchvision's 0.2.
    """
    share = dropout if dropout is not None else (0.4 if paper else 0.2)
    return GoogLeNet(num_classes=num_classes, in_channels=in_channels, auxiliary=auxiliary, paper=paper, dropout=share)
