"""Axes are named as the network itself treats them."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope import explain, field, inspect
from convscope.capture.capture import capture
from convscope.graph.axis_words import value_axis_names


class ByFrame(nn.Module):
    """A 2-D convolution of every frame of a clip (N, T, C, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.conv(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("network", "shape", "names"),
    [
        (nn.Conv2d(3, 4, 3), (3, 8, 8), ("rows", "columns")),
        (nn.Conv3d(3, 4, 3), (3, 8, 8, 8), ("depth", "rows", "columns")),
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2)), (3, 8), ("positions",)),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3)), (3, 8, 8), ("rows", "columns")),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), (3, 8, 8), ("rows", "columns")),
        (nn.Linear(8, 4), (8,), ()),
        (ByFrame(), (5, 3, 8, 8), ("axis 2:", "axis 3:", "axis 4:")),
        (ChannelsLast(), (8, 8, 3), ("axis 2:", "axis 3:")),
    ],
)
def test_the_axes_of_an_input(network, shape, names):
    graph = capture(network, shape)
    assert value_axis_names(graph, graph.inputs[0]) == names


def test_a_clip_has_no_depth(tmp_path):
    saved = tmp_path / "clip.npy"
    np.save(saved, np.ones((5, 3, 8, 8), np.float32))
    found = field(inspect(ByFrame(), (5, 3, 8, 8)), "conv", (4, 4))
    assert "axis 2: 0 to 2, axis 3: 3 to 5, axis 4: 3 to 5 (3×3×3) of the input" in str(found)
    assert "depth" not in str(found) + str(found.to_html())
    made = explain(ByFrame(), str(saved), layer="conv", at=(1, 1), input_shape=(5, 3, 8, 8))
    assert "axis 2: 0–2, axis 3: 0–2, axis 4: 0–2" in str(made)
    assert "float32 of 5×3×8×8; its numbers are used as they are" in str(made)
