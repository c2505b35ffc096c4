"""R3D-18 (2017): ResNet-18 with 3-D convolutions over time.

Tran, Wang, Torresani, Ray, LeCun, Paluri, "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
CVPR 2018, arXiv:1711.11248, section 3.2 and table 1. Parameters are named as in torchvision (`video.r3d_18`).
"""

from __future__ import annotations

import torch
from torch import nn

from convscope.nets.layers import in_order, kaiming_fan_out
from convscope.nets.resnet import BLOCKS, WIDTHS

STAGES = {
    "r3d_18": (
        ("stem", (64, 16, 56, 56)),
        ("layer1", (64, 16, 56, 56)),
        ("layer2", (128, 8, 28, 28)),
        ("layer3", (256, 4, 14, 14)),
        ("layer4", (512, 2, 7, 7)),
        ("avgpool", (512, 1, 1, 1)),
        ("fc", (400,)),
    ),
}


class BasicBlock3d(nn.Module):
    """Two 3x3x3 convolutions around a shortcut: (N, in, T, H, W) to (N, width, T / stride, H / stride, W / stride)."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv3d(in_channels, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm3d(width), nn.ReLU()
        )
        self.conv2 = nn.Sequential(nn.Conv3d(width, width, 3, padding=1, bias=False), nn.BatchNorm3d(width))
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != width:
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, width, 1, stride=stride, bias=False), nn.BatchNorm3d(width)
            )
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the output of the two convolutions to the input."""
        kept = x if self.downsample is None else self.downsample(x)
        out: torch.Tensor = self.relu(self.conv2(self.conv1(x)) + kept)
        return out


def r3d_18(*, num_classes: int = 400, in_channels: int = 3) -> nn.Sequential:
    """Build R3D-18 for clips (N, in_channels, frames, H, W) of any size."""
    parts: dict[str, nn.Module] = {
        # The first convolution leaves time alone (stride 1) and there is no pooling after it.
        "stem": nn.Sequential(
            nn.Conv3d(in_channels, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(),
        )
    }
    channels = 64
    for number, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS[18], strict=True), start=1):
        stage = []
        for index in range(blocks):
            stage.append(BasicBlock3d(channels, width, 2 if index == 0 and number > 1 else 1))
            channels = width
        parts[f"layer{number}"] = nn.Sequential(*stage)
    parts["avgpool"] = nn.AdaptiveAvgPool3d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels, num_classes)
    network = in_order(parts)
    kaiming_fan_out(network)
    return network
