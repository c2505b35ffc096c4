"""C3D (2014): 3x3x3 convolutions through a clip of video, time as a third axis.

Tran, Bourdev, Fergus, Torresani, Paluri, "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015,
arXiv:1412.0767, section 3 and figure 3.
"""

from __future__ import annotations

from torch import nn

from convscope.nets.layers import in_order, kaiming_fan_out
from convscope.nets.shapes import flat_features

STAGES = {
    "c3d": (
        ("features.pool1", (64, 16, 56, 56)),
        ("features.pool2", (128, 8, 28, 28)),
        ("features.pool3", (256, 4, 14, 14)),
        ("features.pool4", (512, 2, 7, 7)),
        ("features.pool5", (512, 1, 4, 4)),
        ("classifier.fc6", (4096,)),
        ("classifier.fc7", (4096,)),
        ("classifier.fc8", (487,)),
    ),
}

# Figure 3: (name, maps) of each group of convolutions; a pooling follows each group.
GROUPS = (
    (("conv1a", 64),),
    (("conv2a", 128),),
    (("conv3a", 256), ("conv3b", 256)),
    (("conv4a", 512), ("conv4b", 512)),
    (("conv5a", 512), ("conv5b", 512)),
)


def c3d(
    *, num_classes: int = 487, in_channels: int = 3, image_size: tuple[int, int, int] = (16, 112, 112)
) -> nn.Sequential:
    """Build C3D for clips (N, in_channels, frames, H, W).

    Raises:
        GeometryError: a clip too short or too small for the five poolings.
    """
    layers: dict[str, nn.Module] = {}
    channels = in_channels
    for number, group in enumerate(GROUPS, start=1):
        for name, maps in group:
            layers[name] = nn.Conv3d(channels, maps, 3, padding=1)
            layers[name.replace("conv", "relu")] = nn.ReLU()
            channels = maps
        # The first pooling leaves time alone, "with the intention of not to merge the temporal signal too early".
        window = (1, 2, 2) if number == 1 else (2, 2, 2)
        # The authors' definition pads the last pooling, so that 7x7 becomes 4x4 and fc6 reads 8,192 numbers.
        padding = (0, 1, 1) if number == len(GROUPS) else 0
        layers[f"pool{number}"] = nn.MaxPool3d(window, padding=padding)
    features = in_order(layers)
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
    network = in_order({"features": features, "flatten": nn.Flatten(), "classifier": classifier})
    kaiming_fan_out(network)
    return network
