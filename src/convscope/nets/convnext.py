"""ConvNeXt (2022): a ResNet rebuilt with the design choices of vision transformers.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022, arXiv:2201.03545, section 2, figure 4
and table 9. Parameters are named as in torchvision, so that its weight files load.
"""

from __future__ import annotations

import torch
from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.layers import in_order

STAGES = {
    "convnext_tiny": (
        ("features.0", (96, 56, 56)),
        ("features.1", (96, 56, 56)),
        ("features.3", (192, 28, 28)),
        ("features.5", (384, 14, 14)),
        ("features.7", (768, 7, 7)),
        ("avgpool", (768, 1, 1)),
        ("classifier.2", (1000,)),
    ),
}

WIDTHS = (96, 192, 384, 768)
BLOCKS = (3, 3, 9, 3)


class LayerNorm2d(nn.LayerNorm):
    """Layer normalization over the channels of every pixel: (N, C, H, W) to the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize with the channels last, and return (N, C, H, W)."""
        normalized: torch.Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normalized.permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """A permutation from (N, C, H, W) to (N, H, W, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Move the channels to the end."""
        return x.permute(0, 2, 3, 1)


class ChannelsFirst(nn.Module):
    """A permutation from (N, H, W, C) to (N, C, H, W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Move the channels to the front."""
        return x.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """7x7 within each map, then two linear layers at every pixel, scaled and added (figure 4): the shape is kept."""

    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            ChannelsLast(),
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            ChannelsFirst(),
        )
        self.layer_scale = nn.Parameter(torch.empty(width, 1, 1))
        self.drop_path = drop_path
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scale of the residual to 1e-6."""
        nn.init.constant_(self.layer_scale, 1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the scaled residual to the input; in training it is dropped for whole samples (stochastic depth)."""
        change: torch.Tensor = self.layer_scale * self.block(x)
        if self.training and self.drop_path:
            kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop_path
            change = change * kept / (1 - self.drop_path)
        return x + change


def convnext_tiny(*, num_classes: int = 1000, in_channels: int = 3, drop_path: Probability = 0.1) -> nn.Sequential:
    """Build ConvNeXt-T for images (N, in_channels, H, W) of at least 32x32 pixels.

    `drop_path` is the share of samples dropped in the last block in training; it grows evenly from 0 in the first.
    """
    layers: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(in_channels, WIDTHS[0], 4, stride=4), LayerNorm2d(WIDTHS[0], eps=1e-6))
    ]
    done = 0
    for number, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
        if number:
            before = WIDTHS[number - 1]
            layers.append(nn.Sequential(LayerNorm2d(before, eps=1e-6), nn.Conv2d(before, width, 2, stride=2)))
        shares = [drop_path * (done + index) / (sum(BLOCKS) - 1) for index in range(blocks)]
        layers.append(nn.Sequential(*(ConvNeXtBlock(width, share) for share in shares)))
        done += blocks
    network = in_order(
        {
            "features": nn.Sequential(*layers),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "classifier": nn.Sequential(
                LayerNorm2d(WIDTHS[-1], eps=1e-6), nn.Flatten(), nn.Linear(WIDTHS[-1], num_classes)
            ),
        }
    )
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return network
