"""M5 (2016): a one-dimensional network on raw waveforms.

Dai, Dai, Qu, Li, Das, "Very Deep Convolutional Neural Networks for Raw Waveforms", ICASSP 2017, arXiv:1610.00087,
section 2 and table 1.
"""

from __future__ import annotations

from torch import nn

from convscope.nets.layers import in_order

STAGES = {
    "m5": (
        ("conv1", (128, 8000)),
        ("pool1", (128, 2000)),
        ("conv2", (128, 2000)),
        ("pool2", (128, 500)),
        ("conv3", (256, 500)),
        ("pool3", (256, 125)),
        ("conv4", (512, 125)),
        ("pool4", (512, 31)),
        ("avgpool", (512, 1)),
        ("fc", (10,)),
    ),
}

# Table 1, column M5: (kernel, maps, stride) of each convolution; a pooling of 4 follows each.
CONVOLUTIONS = ((80, 128, 4), (3, 128, 1), (3, 256, 1), (3, 512, 1))


def m5(*, num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """Build M5 for waveforms (N, in_channels, samples); the paper's have 32,000 samples, four seconds at 8 kHz.

    Raises:
        GeometryError: a waveform too short for the four poolings.
    """
    layers: dict[str, nn.Module] = {}
    channels = in_channels
    for number, (kernel, maps, stride) in enumerate(CONVOLUTIONS, start=1):
        # Padding keeps table 1's sizes: 32,000 samples at stride 4 are 8,000.
        padding = (kernel - stride) // 2 if stride > 1 else kernel // 2
        layers[f"conv{number}"] = nn.Conv1d(channels, maps, kernel, stride=stride, padding=padding)
        layers[f"norm{number}"] = nn.BatchNorm1d(maps)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"pool{number}"] = nn.MaxPool1d(4)
        channels = maps
    layers["avgpool"] = nn.AdaptiveAvgPool1d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(channels, num_classes)
    return in_order(layers)
