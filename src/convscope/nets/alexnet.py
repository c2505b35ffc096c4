"""AlexNet (2012): two towers on two GPUs, one tower, and the form of 2014.

Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012,
section 3 and figure 2. The 2014 form is Krizhevsky's "One weird trick for parallelizing convolutional neural networks",
arXiv:1404.5997; its parameters are named as in torchvision, whose `alexnet` it is.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from convscope.api.annotations import Probability
from convscope.nets.layers import in_order
from convscope.nets.shapes import flat_features

STAGES = {
    "alexnet-2012 alexnet-2012-one-tower": (
        ("features.conv1", (96, 55, 55)),
        ("features.pool1", (96, 27, 27)),
        ("features.conv2", (256, 27, 27)),
        ("features.pool2", (256, 13, 13)),
        ("features.conv3", (384, 13, 13)),
        ("features.conv4", (384, 13, 13)),
        ("features.conv5", (256, 13, 13)),
        ("features.pool5", (256, 6, 6)),
        ("classifier.fc6", (4096,)),
        ("classifier.fc7", (4096,)),
        ("classifier.fc8", (1000,)),
    ),
    "alexnet": (
        ("features.0", (64, 55, 55)),
        ("features.2", (64, 27, 27)),
        ("features.3", (192, 27, 27)),
        ("features.5", (192, 13, 13)),
        ("features.6", (384, 13, 13)),
        ("features.8", (256, 13, 13)),
        ("features.10", (256, 13, 13)),
        ("features.12", (256, 6, 6)),
        ("classifier.1", (4096,)),
        ("classifier.4", (4096,)),
        ("classifier.6", (1000,)),
    ),
}


def _response_normalization() -> nn.LocalResponseNorm:
    """Build the normalization of section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75.

    PyTorch divides its alpha by n, so it is given 5e-4.
    """
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def alexnet_2012(
    *,
    towers: Literal[1, 2] = 2,
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: tuple[int, int] = (227, 227),
) -> nn.Sequential:
    """Build the network of 2012 for images (N, in_channels, H, W).

    Each of two towers is on its own GPU: conv2, conv4 and conv5 read their own tower's maps alone, which is a
    convolution in two groups; conv3 and the full connections read both. One tower has no groups.

    Raises:
        GeometryError: an image too small for its three poolings.
    """
    # The paper says 224, but 55x55 maps of 11x11 windows at stride 4 need 227, or 2 pixels of padding around 224.
    padding = 0 if all(size >= 11 and (size - 11) % 4 == 0 for size in image_size) else 2
    features = in_order(
        {
            "conv1": nn.Conv2d(in_channels, 96, 11, stride=4, padding=padding),
            "relu1": nn.ReLU(),
            "norm1": _response_normalization(),
            "pool1": nn.MaxPool2d(3, stride=2),  # overlapping: the window is larger than its step (section 3.4)
            "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=towers),
            "relu2": nn.ReLU(),
            "norm2": _response_normalization(),
            "pool2": nn.MaxPool2d(3, stride=2),
            "conv3": nn.Conv2d(256, 384, 3, padding=1),
            "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=towers),
            "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=towers),
            "relu5": nn.ReLU(),
            "pool5": nn.MaxPool2d(3, stride=2),
        }
    )
    classifier = in_order(
        {
            "drop6": nn.Dropout(0.5),
            "fc6": nn.Linear(flat_features(features, (in_channels, *image_size)), 4096),
            "relu6": nn.ReLU(),
            "drop7": nn.Dropout(0.5),
            "fc7": nn.Linear(4096, 4096),
            "relu7": nn.ReLU(),
            "fc8": nn.Linear(4096, num_classes),
        }
    )
    network = in_order({"features": features, "flatten": nn.Flatten(), "classifier": classifier})
    # Section 5: weights from N(0, 0.01); biases 1 in conv2, conv4, conv5 and the hidden full connections, else 0.
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, std=0.01)
            assert module.bias is not None
            nn.init.constant_(module.bias, float(name.split(".")[-1] in ("conv2", "conv4", "conv5", "fc6", "fc7")))
    return network


def alexnet(*, num_classes: int = 1000, in_channels: int = 3, dropout: Probability = 0.5) -> nn.Sequential:
    """Build the single-tower form of 2014 for images (N, in_channels, H, W) of at least 63x63 pixels; no normalization.

    The maps are averaged to 6x6 before the full connections, as torchvision does; at 224 pixels they are 6x6 already.
    """
    features = nn.Sequential(
        nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
    )
    classifier = nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, num_classes),
    )
    return in_order(
        {
            "features": features,
            "avgpool": nn.AdaptiveAvgPool2d((6, 6)),
            "flatten": nn.Flatten(),
            "classifier": classifier,
        }
    )
