"""A network of plain convolutions with ReLU and no normalization, after VGG, small enough to train in a minute."""

from __future__ import annotations

from torch import nn

WIDTHS = (32, 32, 0, 64, 64, 0, 128, 128)  # 0 is max-pooling


def network(*, num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> nn.Sequential:
    """Build six convolutions of 3x3, the mean over the map and one linear layer."""
    layers: list[nn.Module] = []
    channels = in_channels
    for width in WIDTHS:
        if not width:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        channels = width
    made = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return made
