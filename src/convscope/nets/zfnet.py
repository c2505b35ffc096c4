"""ZFNet (2013): AlexNet with smaller first windows and a smaller first stride.

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, arXiv:1311.2901, figure 3.
"""

from __future__ import annotations

from torch import nn

from convscope.nets.layers import in_order
from convscope.nets.shapes import flat_features

STAGES = {
    "zfnet": (
        ("features.conv1", (96, 110, 110)),
        ("features.pool1", (96, 55, 55)),
        ("features.conv2", (256, 26, 26)),
        ("features.pool2", (256, 13, 13)),
        ("features.conv3", (384, 13, 13)),
        ("features.conv4", (384, 13, 13)),
        ("features.conv5", (256, 13, 13)),
        ("features.pool5", (256, 6, 6)),
        ("classifier.fc6", (4096,)),
        ("classifier.fc7", (4096,)),
        ("classifier.fc8", (1000,)),
    ),
}


def _pooling() -> nn.MaxPool2d:
    """Build the 3x3 pooling with stride 2; the figure's 110 -> 55 -> 26 -> 13 round up."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def zfnet(*, num_classes: int = 1000, in_channels: int = 3, image_size: tuple[int, int] = (224, 224)) -> nn.Sequential:
    """Build ZFNet for images (N, in_channels, H, W).

    Raises:
        GeometryError: an image too small for conv2's 5x5 windows.
    """
    features = in_order(
        {
            "conv1": nn.Conv2d(in_channels, 96, 7, stride=2, padding=1),
            "relu1": nn.ReLU(),
            "pool1": _pooling(),
            # The paper does not give its "contrast normalization" across maps; AlexNet's (section 3.3) is used here.
            "norm1": nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            "conv2": nn.Conv2d(96, 256, 5, stride=2),
            "relu2": nn.ReLU(),
            "pool2": _pooling(),
            "norm2": nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            "conv3": nn.Conv2d(256, 384, 3, padding=1),
            "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(384, 384, 3, padding=1),
            "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(384, 256, 3, padding=1),
            "relu5": nn.ReLU(),
            "pool5": _pooling(),
        }
    )
    classifier = in_order(
        {
            "fc6": nn.Linear(flat_features(features, (in_channels, *image_size)), 4096),
            "relu6": nn.ReLU(),
            "drop6": nn.Dropout(0.5),
            "fc7": nn.Linear(4096, 4096),
            "relu7": nn.ReLU(),
            "drop7": nn.Dropout(0.5),
            "fc8": nn.Linear(4096, num_classes),
        }
    )
    return in_order({"features": features, "flatten": nn.Flatten(), "classifier": classifier})
