"""Inception-v3 (2015): large windows made of small ones and of one-dimensional ones.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
arXiv:1512.00567, sections 3 to 6, table 1. Parameters are named as in torchvision, so that its weight files load.
"""

from __future__ import annotations

import torch
from torch import nn

from convscope.api.annotations import Probability
from convscope.geometry.window import Window
from convscope.nets.layers import in_order
from convscope.nets.shapes import VanishedError

STAGES = {
    "inception_v3": (
        ("Conv2d_1a_3x3", (32, 149, 149)),
        ("Conv2d_2a_3x3", (32, 147, 147)),
        ("Conv2d_2b_3x3", (64, 147, 147)),
        ("maxpool1", (64, 73, 73)),
        ("Conv2d_3b_1x1", (80, 73, 73)),
        ("Conv2d_4a_3x3", (192, 71, 71)),
        ("maxpool2", (192, 35, 35)),
        ("Mixed_5b", (256, 35, 35)),
        ("Mixed_5d", (288, 35, 35)),
        ("Mixed_6a", (768, 17, 17)),
        ("Mixed_6e", (768, 17, 17)),
        ("Mixed_7a", (1280, 8, 8)),
        ("Mixed_7b", (2048, 8, 8)),
        ("Mixed_7c", (2048, 8, 8)),
        ("avgpool", (2048, 1, 1)),
        ("fc", (1000,)),
    ),
}

Pair = tuple[int, int]


def unit(in_channels: int, out_channels: int, kernel: int | Pair, *, stride: int = 1, same: bool = True) -> nn.Module:
    """Build convolution, batch normalization and ReLU; `same` keeps the size at stride 1, else there is no padding."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (sides[0] // 2, sides[1] // 2) if same else (0, 0)
    return in_order(
        {
            "conv": nn.Conv2d(in_channels, out_channels, sides, stride=stride, padding=padding, bias=False),
            "bn": nn.BatchNorm2d(out_channels, eps=0.001),
            "relu": nn.ReLU(),
        }
    )


class InceptionA(nn.Module):
    """Figure 5: the 5x5 also as two 3x3. (N, in, 35, 35) to (N, 224 + pooled, 35, 35).

    The upper of the two is one 5x5, as in the TensorFlow code that all weights come from; the figure has 3x3 alone.
    """

    def __init__(self, in_channels: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = unit(in_channels, 64, 1)
        self.branch5x5_1 = unit(in_channels, 48, 1)
        self.branch5x5_2 = unit(48, 64, 5)
        self.branch3x3dbl_1 = unit(in_channels, 64, 1)
        self.branch3x3dbl_2 = unit(64, 96, 3)
        self.branch3x3dbl_3 = unit(96, 96, 3)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = unit(in_channels, pooled, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate the branches' maps."""
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(self.pool(x))], 1)


class ReductionB(nn.Module):
    """Figure 10: strided convolutions and a pooling side by side. (N, 288, 35, 35) to (N, 768, 17, 17)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = unit(in_channels, 384, 3, stride=2, same=False)
        self.branch3x3dbl_1 = unit(in_channels, 64, 1)
        self.branch3x3dbl_2 = unit(64, 96, 3)
        self.branch3x3dbl_3 = unit(96, 96, 3, stride=2, same=False)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate the branches' maps."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, self.pool(x)], 1)


class InceptionC(nn.Module):
    """Figure 6: a 7x7 as 1x7 after 7x1. (N, 768, 17, 17) to the same; `maps` is the width inside."""

    def __init__(self, in_channels: int, maps: int) -> None:
        super().__init__()
        self.branch1x1 = unit(in_channels, 192, 1)
        self.branch7x7_1 = unit(in_channels, maps, 1)
        self.branch7x7_2 = unit(maps, maps, (1, 7))
        self.branch7x7_3 = unit(maps, 192, (7, 1))
        self.branch7x7dbl_1 = unit(in_channels, maps, 1)
        self.branch7x7dbl_2 = unit(maps, maps, (7, 1))
        self.branch7x7dbl_3 = unit(maps, maps, (1, 7))
        self.branch7x7dbl_4 = unit(maps, maps, (7, 1))
        self.branch7x7dbl_5 = unit(maps, 192, (1, 7))
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = unit(in_channels, 192, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate the branches' maps."""
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(self.pool(x))], 1)


class ReductionD(nn.Module):
    """The second halving. (N, 768, 17, 17) to (N, 1280, 8, 8)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = unit(in_channels, 192, 1)
        self.branch3x3_2 = unit(192, 320, 3, stride=2, same=False)
        self.branch7x7x3_1 = unit(in_channels, 192, 1)
        self.branch7x7x3_2 = unit(192, 192, (1, 7))
        self.branch7x7x3_3 = unit(192, 192, (7, 1))
        self.branch7x7x3_4 = unit(192, 192, 3, stride=2, same=False)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate the branches' maps."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, self.pool(x)], 1)


class InceptionE(nn.Module):
    """Figure 7: the 1x3 and the 3x1 side by side, to widen the last maps. (N, in, 8, 8) to (N, 2048, 8, 8)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch1x1 = unit(in_channels, 320, 1)
        self.branch3x3_1 = unit(in_channels, 384, 1)
        self.branch3x3_2a = unit(384, 384, (1, 3))
        self.branch3x3_2b = unit(384, 384, (3, 1))
        self.branch3x3dbl_1 = unit(in_channels, 448, 1)
        self.branch3x3dbl_2 = unit(448, 384, 3)
        self.branch3x3dbl_3a = unit(384, 384, (1, 3))
        self.branch3x3dbl_3b = unit(384, 384, (3, 1))
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = unit(in_channels, 192, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate the branches' maps."""
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(self.pool(x)),
            ],
            1,
        )


class AuxiliaryHeadV3(nn.Module):
    """Figure 8: a classifier on the last 17x17 maps. (N, 768, 17, 17) to (N, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv0 = unit(in_channels, 128, 1)
        self.conv1 = unit(128, 768, 5, same=False)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes)."""
        scores: torch.Tensor = self.fc(self.flatten(self.avgpool(self.conv1(self.conv0(self.pool(x))))))
        return scores


class InceptionV3(nn.Module):
    """A network from images (N, C, H, W) to scores (N, num_classes).

    With the auxiliary head, training mode returns (scores, the head's scores), for a loss with weights 1 and
    `auxiliary_weight`; evaluation mode returns the scores alone.
    """

    auxiliary_weight = 0.4

    def __init__(self, *, num_classes: int, in_channels: int, auxiliary: bool, dropout: float) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = unit(in_channels, 32, 3, stride=2, same=False)
        self.Conv2d_2a_3x3 = unit(32, 32, 3, same=False)
        self.Conv2d_2b_3x3 = unit(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = unit(64, 80, 1)
        self.Conv2d_4a_3x3 = unit(80, 192, 3, same=False)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = ReductionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = AuxiliaryHeadV3(768, num_classes) if auxiliary else None
        self.Mixed_7a = ReductionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(2048, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return scores (N, num_classes) of images (N, C, H, W)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        early = self.AuxLogits(x) if self.AuxLogits is not None and self.training else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        scores: torch.Tensor = self.fc(self.flatten(self.dropout(self.avgpool(x))))
        return scores if early is None else (scores, early)


# Kernel, stride and padding from the image to the maps that figure 8's head reads.
TO_HEAD = ((3, 2, 0), (3, 1, 0), (3, 1, 1), (3, 2, 0), (1, 1, 0), (3, 1, 0), (3, 2, 0), (3, 2, 0))


def head_fits(image_size: tuple[int, int]) -> bool:
    """Return whether figure 8's head (pooling of 5, stride 3, then a 5x5) fits an image of this size in pixels.

    >>> head_fits((299, 299)), head_fits((298, 299))
    (True, False)
    """
    windows = [Window.of(kernel, stride=stride, padding=padding) for kernel, stride, padding in TO_HEAD]
    size = min(image_size)
    for window in (*windows, Window(kernel_size=5, stride=3), Window(kernel_size=5)):
        if not window.fits(size):
            return False
        size = window.output_size(size)
    return True


def inception_v3(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: tuple[int, int] = (299, 299),
    auxiliary: bool | None = None,
    dropout: Probability = 0.5,
) -> InceptionV3:
    """Build Inception-v3 for images (N, in_channels, H, W) of at least 75x75 pixels.

    `auxiliary` adds the head of figure 8, and in training mode the network then returns two scores; None adds it
    if it fits the image, as it does the paper's.

    Raises:
        VanishedError: an auxiliary head that does not fit the image.
    """
    head = head_fits(image_size) if auxiliary is None else auxiliary
    if head and not head_fits(image_size):
        raise VanishedError("the maps before its auxiliary head are too small for it (auxiliary=false leaves it out)")
    return InceptionV3(num_classes=num_classes, in_channels=in_channels, auxiliary=head, dropout=dropout)
