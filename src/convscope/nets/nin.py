"""Network in network (2013): 1x1 convolutions as a small network at every pixel, and the mean instead of a classifier.

Lin, Chen, Yan, "Network In Network", ICLR 2014, arXiv:1312.4400, sections 3 and 4.2. The widths are those of the
authors' published CIFAR-10 definition; the paper itself does not print them.
"""

from __future__ import annotations

from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.layers import in_order

STAGES = {
    "nin": (
        ("block1", (96, 16, 16)),
        ("block2", (192, 8, 8)),
        ("block3", (10, 8, 8)),
        ("avgpool", (10, 1, 1)),
    ),
}


def mlpconv(in_channels: int, kernel_size: int, widths: tuple[int, int, int]) -> list[nn.Module]:
    """Build a convolution and two 1x1 convolutions, each with a ReLU: (N, in, H, W) to (N, widths[2], H, W)."""
    first, second, third = widths
    return [
        nn.Conv2d(in_channels, first, kernel_size, padding=kernel_size // 2),
        nn.ReLU(),
        nn.Conv2d(first, second, 1),
        nn.ReLU(),
        nn.Conv2d(second, third, 1),
        nn.ReLU(),
    ]


def nin(*, num_classes: int = 10, in_channels: int = 3, dropout: Probability = 0.5) -> nn.Sequential:
    """Build Network in network for images (N, in_channels, H, W); the last block has one map for each class."""
    network = in_order(
        {
            "block1": nn.Sequential(*mlpconv(in_channels, 5, (192, 160, 96)), nn.MaxPool2d(3, stride=2, padding=1)),
            "drop1": nn.Dropout(dropout),
            "block2": nn.Sequential(*mlpconv(96, 5, (192, 192, 192)), nn.AvgPool2d(3, stride=2, padding=1)),
            "drop2": nn.Dropout(dropout),
            # The last ReLU is left out: above it a map that is 0 everywhere could never learn again.
            "block3": nn.Sequential(*mlpconv(192, 3, (192, 192, num_classes))[:-1]),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
        }
    )
    # Nine layers with ReLU: PyTorch's default weights shrink the signal layer by layer, He's (2015) keep it.
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network
