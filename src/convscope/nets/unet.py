"""U-Net (2015): a contracting and an expanding path, joined at every size; a class for every pixel.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
arXiv:1505.04597, section 2 and figure 1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from convscope.api.annotations import Probability

STAGES = {
    "unet": (
        ("down1", (64, 568, 568)),
        ("down2", (128, 280, 280)),
        ("down3", (256, 136, 136)),
        ("down4", (512, 64, 64)),
        ("bottom", (1024, 28, 28)),
        ("up4", (512, 56, 56)),
        ("merge4", (512, 52, 52)),
        ("merge3", (256, 100, 100)),
        ("merge2", (128, 196, 196)),
        ("merge1", (64, 388, 388)),
        ("head", (2, 388, 388)),
    ),
    "unet-same": (
        ("down1", (64, 512, 512)),
        ("down2", (128, 256, 256)),
        ("down3", (256, 128, 128)),
        ("down4", (512, 64, 64)),
        ("bottom", (1024, 32, 32)),
        ("up4", (512, 64, 64)),
        ("merge4", (512, 64, 64)),
        ("merge3", (256, 128, 128)),
        ("merge2", (128, 256, 256)),
        ("merge1", (64, 512, 512)),
        ("head", (2, 512, 512)),
    ),
}

WIDTHS = (64, 128, 256, 512)


def double_convolution(in_channels: int, out_channels: int, padding: int) -> nn.Sequential:
    """Build two 3x3 convolutions with ReLU: (N, in, H, W) to (N, out, H - 4, W - 4), or (H, W) if padded by 1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=padding),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=padding),
        nn.ReLU(),
    )


def crop_to(bridge: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Crop the centre of `bridge` (N, C, H, W) to the size of `like`; an odd pixel is cut at the end."""
    height, width = like.shape[-2:]
    top, left = (bridge.shape[-2] - height) // 2, (bridge.shape[-1] - width) // 2
    return bridge[..., top : top + height, left : left + width]


class UNet(nn.Module):
    """A network from images (N, C, H, W) to scores (N, num_classes, H', W'): 572 gives 388 without padding."""

    def __init__(self, *, num_classes: int, in_channels: int, padding: int, dropout: float) -> None:
        super().__init__()
        channels = in_channels
        for level, width in enumerate(WIDTHS, start=1):
            self.add_module(f"down{level}", double_convolution(channels, width, padding))
            self.add_module(f"pool{level}", nn.MaxPool2d(2))
            channels = width
        self.bottom = double_convolution(channels, 2 * channels, padding)
        self.dropout = nn.Dropout(dropout)  # "at the end of the contracting path" (section 3.1)
        for level, width in reversed(list(enumerate(WIDTHS, start=1))):
            self.add_module(f"up{level}", nn.ConvTranspose2d(2 * width, width, 2, stride=2))
            self.add_module(f"merge{level}", double_convolution(2 * width, width, padding))
        self.head = nn.Conv2d(WIDTHS[0], num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # section 3: deviation sqrt(2 / N)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes, H', W') of images (N, C, H, W)."""
        bridges = []
        for level in range(1, len(WIDTHS) + 1):
            bridges.append(self.get_submodule(f"down{level}")(x))
            x = self.get_submodule(f"pool{level}")(bridges[-1])
        x = self.dropout(self.bottom(x))
        for level in range(len(WIDTHS), 0, -1):
            x = self.get_submodule(f"up{level}")(x)
            x = self.get_submodule(f"merge{level}")(torch.cat([crop_to(bridges.pop(), x), x], 1))
        scores: torch.Tensor = self.head(x)
        return scores


def unet(
    *,
    num_classes: int = 2,
    in_channels: int = 1,
    padding: Literal["valid", "same"] = "valid",
    dropout: Probability = 0.5,
) -> UNet:
    """Build U-Net for images (N, in_channels, H, W); each output pixel has a score for every class.

    Args:
        num_classes: outputs for each pixel.
        in_channels: input channels.
        padding: "valid" as in the paper: the output is the middle of the image, 184 pixels smaller; "same" keeps the
            size where it divides by 16, and otherwise rounds it down to that.
        dropout: share of the deepest maps dropped in training.

    Raises:
        GeometryError: an image too small; the paper's form needs 188x188 pixels.
    """
    pad = 0 if padding == "valid" else 1
    return UNet(num_classes=num_classes, in_channels=in_channels, padding=pad, dropout=dropout)
