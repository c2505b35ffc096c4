"""MobileNet (2017): a convolution split in two, one map at a time and then one pixel at a time.

Howard and others, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
arXiv:1704.04861, section 3 and table 1.
"""

from __future__ import annotations

from torch import nn

from convscope.errors import GeometryError
from convscope.nets.layers import ConvNorm, in_order, kaiming_fan_out

STAGES = {
    "mobilenet_v1": (
        ("features.conv1", (32, 112, 112)),
        ("features.separable1", (64, 112, 112)),
        ("features.separable3", (128, 56, 56)),
        ("features.separable5", (256, 28, 28)),
        ("features.separable11", (512, 14, 14)),
        ("features.separable13", (1024, 7, 7)),
        ("avgpool", (1024, 1, 1)),
        ("fc", (1000,)),
    ),
}

# Table 1: (maps, stride) of the thirteen depthwise separable layers. Its last line says stride 2, but 7x7 stays 7x7.
SEPARABLE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


def separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Build 3x3 within each map, then 1x1 across maps (figure 3): (N, in, H, W) to (N, out, H / stride, W / stride)."""
    return in_order(
        {
            "depthwise": ConvNorm(in_channels, in_channels, 3, stride=stride, groups=in_channels),
            "pointwise": ConvNorm(in_channels, out_channels, 1),
        }
    )


def mobilenet_v1(*, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0) -> nn.Sequential:
    """Build MobileNet for images (N, in_channels, H, W) of any size; `width` thins every layer (section 3.3).

    Raises:
        GeometryError: a width at which the first layer has no channel.
    """
    channels = round(32 * width)
    if channels < 1:
        raise GeometryError(f"a width of {width:g} leaves none of the first layer's 32 channels: give 0.03125 or more")
    layers: dict[str, nn.Module] = {"conv1": ConvNorm(in_channels, channels, 3, stride=2)}
    for number, (maps, stride) in enumerate(SEPARABLE, start=1):
        layers[f"separable{number}"] = separable(channels, round(maps * width), stride)
        channels = round(maps * width)
    network = in_order(
        {
            "features": in_order(layers),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(channels, num_classes),
        }
    )
    kaiming_fan_out(network)
    return network
