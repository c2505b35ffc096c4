"""MiniAlexNet: the lecture notes' exercise, AlexNet's parts at the size of CIFAR-10.

Three blocks of convolution, ReLU and pooling, then two fully connected layers with dropout, after Krizhevsky,
Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (2012), sections 3 and 4.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.shapes import flat_features

STAGES = {
    "alexnet-mini": (
        ("features.2", (64, 16, 16)),
        ("features.5", (128, 8, 8)),
        ("features.8", (256, 4, 4)),
        ("classifier.2", (512,)),
        ("classifier.5", (10,)),
    ),
}

WIDTHS = (64, 128, 256)

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class AlexNetMini(nn.Module):
    """A network from images (N, C, H, W) to scores (N, num_classes)."""

    def __init__(
        self, *, num_classes: int, in_channels: int, image_size: tuple[int, int], activation: str, dropout: float
    ) -> None:
        super().__init__()
        act = _ACTIVATIONS[activation]
        layers: list[nn.Module] = []
        channels = in_channels
        for width in WIDTHS:
            # AlexNet's 11x11 and 5x5 kernels and overlapping pooling are for 224 pixels; 32 take 3x3 and 2x2.
            layers += [nn.Conv2d(channels, width, 3, padding=1), act(), nn.MaxPool2d(2)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(flat_features(self.features, (in_channels, *image_size)), 512),
            act(),
            nn.Dropout(dropout),
            nn.Linear(512, num_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes) of images (N, C, H, W)."""
        scores: torch.Tensor = self.classifier(self.features(x))
        return scores


def alexnet_mini(
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    activation: Literal["relu", "tanh", "sigmoid"] = "relu",
    dropout: Probability = 0.5,
) -> AlexNetMini:
    """Build MiniAlexNet for images (N, in_channels, H, W) of at least 8x8 pixels; `dropout=0.0` removes dropout.

    Raises:
        GeometryError: an image too small for three poolings.

    >>> sum(p.numel() for p in alexnet_mini().parameters())  # 1,792 + 73,856 + 295,168 + 2,097,664 + 5,130
    2473610
    """
    return AlexNetMini(
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
        activation=activation,
        dropout=dropout,
    )
