"""VGG (2014): 3x3 convolutions and 2x2 pooling only, up to 19 layers.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, arXiv:1409.1556,
table 1, columns A, B, D and E. Parameters are named as in torchvision, so that its weight files load.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.layers import in_order, kaiming_fan_out

# After each of the five poolings, and the three full connections.
STAGES = {
    "vgg11": (
        ("features.2", (64, 112, 112)),
        ("features.5", (128, 56, 56)),
        ("features.10", (256, 28, 28)),
        ("features.15", (512, 14, 14)),
        ("features.20", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
    "vgg13": (
        ("features.4", (64, 112, 112)),
        ("features.9", (128, 56, 56)),
        ("features.14", (256, 28, 28)),
        ("features.19", (512, 14, 14)),
        ("features.24", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
    "vgg16": (
        ("features.4", (64, 112, 112)),
        ("features.9", (128, 56, 56)),
        ("features.16", (256, 28, 28)),
        ("features.23", (512, 14, 14)),
        ("features.30", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
    "vgg19": (
        ("features.4", (64, 112, 112)),
        ("features.9", (128, 56, 56)),
        ("features.18", (256, 28, 28)),
        ("features.27", (512, 14, 14)),
        ("features.36", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
    "vgg11_bn": (
        ("features.3", (64, 112, 112)),
        ("features.7", (128, 56, 56)),
        ("features.14", (256, 28, 28)),
        ("features.21", (512, 14, 14)),
        ("features.28", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
    "vgg13_bn": (
        ("features.6", (64, 112, 112)),
        ("features.13", (128, 56, 56)),
        ("features.20", (256, 28, 28)),
        ("features.27", (512, 14, 14)),
        ("features.34", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
    "vgg16_bn": (
        ("features.6", (64, 112, 112)),
        ("features.13", (128, 56, 56)),
        ("features.23", (256, 28, 28)),
        ("features.33", (512, 14, 14)),
        ("features.43", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
    "vgg19_bn": (
        ("features.6", (64, 112, 112)),
        ("features.13", (128, 56, 56)),
        ("features.26", (256, 28, 28)),
        ("features.39", (512, 14, 14)),
        ("features.52", (512, 7, 7)),
        ("classifier.0", (4096,)), ("classifier.3", (4096,)), ("classifier.6", (1000,)),
    ),
}  # fmt: skip

WIDTHS = (64, 128, 256, 512, 512)

# Table 1: 3x3 convolutions before each pooling; the full connections make 3 more layers.
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(
    *,
    depth: Literal[11, 13, 16, 19],
    batch_norm: bool = False,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: Probability = 0.5,
) -> nn.Sequential:
    """Build VGG for images (N, in_channels, H, W) of at least 32x32 pixels.

    Args:
        depth: weighted layers, as in table 1.
        batch_norm: normalize after each convolution; the paper came before it.
        num_classes: outputs.
        in_channels: input channels.
        dropout: share of the hidden full connections that is dropped in training.
    """
    layers: list[nn.Module] = []
    channels = in_channels
    for width, convolutions in zip(WIDTHS, CONVOLUTIONS[depth], strict=True):
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, width, 3, padding=1)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
            channels = width
        layers += [nn.MaxPool2d(2)]
    classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, 4096),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(4096, num_classes),
    )
    network = in_order(
        {
            "features": nn.Sequential(*layers),
            # At 224 pixels the maps are 7x7 already; at other sizes they are averaged to it, as torchvision does.
            "avgpool": nn.AdaptiveAvgPool2d((7, 7)),
            "flatten": nn.Flatten(),
            "classifier": classifier,
        }
    )
    # The paper starts the deep ones from a trained 11-layer network; He's initialization (2015) needs no such start.
    kaiming_fan_out(network)
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    return network
