"""Axes are named as the network itself treats them."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope import explain, field, inspect
from convscope.capture.capture import capture
from convscope.errors import GeometryError
from convscope.graph.axes import value_axes
from fields import Run


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


def by_frame(x: torch.Tensor, conv: nn.Module) -> torch.Tensor:
    return torch.stack([conv(frame) for frame in x.unbind(1)], 1)


def words(x: torch.Tensor, embedding: nn.Module, conv: nn.Module) -> torch.Tensor:
    return conv(embedding(x.long()).transpose(1, 2)).amax(2)


CONV = nn.Conv2d(3, 4, 3, padding=1)


@pytest.mark.parametrize(
    ("network", "shape", "names"),
    [
        (nn.Conv2d(3, 4, 3), (3, 8, 8), "channels rows columns"),
        (nn.Conv3d(3, 4, 3), (3, 8, 8, 8), "channels depth rows columns"),
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool1d(2)), (3, 8), "channels positions"),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3)), (3, 8, 8), "channels rows columns"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), (3, 8, 8), "channels rows columns"),
        (nn.Linear(8, 4), (8,), "channels"),
        (ByFrame(), (5, 3, 8, 8), "frames channels rows columns"),
        (ByFrame(), (1, 3, 8, 8), "frames channels rows columns"),
        (Run(by_frame, CONV), (5, 3, 8, 8), "frames channels rows columns"),
        (Run(lambda x, conv: conv(x[:, 0]), CONV), (5, 3, 8, 8), "frames channels rows columns"),
        (Run(lambda x, conv: conv(x.flatten(1, 2)), CONV), (3, 1, 8, 8), "channels channels rows columns"),
        (Run(lambda x, conv: conv(torch.cat([x[:, :1], x, x], 1)[:, :3]), CONV), (3, 8, 8), "channels rows columns"),
        (ChannelsLast(), (8, 8, 3), "rows columns channels"),
        (Run(lambda x, conv: conv(x[:, None]), nn.Conv1d(1, 4, 9, 4)), (400,), "positions"),
        (Run(lambda x, conv: conv(x.squeeze(1)), nn.Conv1d(8, 4, 9)), (1, 8, 40), "channels channels positions"),
        (Run(words, nn.Embedding(9, 4), nn.Conv1d(4, 4, 3)), (20,), "positions"),
    ],
)
def test_the_axes_of_an_input(network, shape, names):
    graph = capture(network, shape)
    assert value_axes(graph, graph.inputs[0]).names == ("batch", *names.split())


def test_one_image_without_a_batch():
    inspection = inspect(CONV, [torch.zeros(3, 8, 9)])
    assert value_axes(inspection.graph, 0).names == ("channels", "rows", "columns")
    assert (inspection.batch, inspection.macs) == (1, 4 * 3 * 9 * 72)
    assert field(inspection, "convolution", (2, 3)).spans == ((1, 3), (2, 4))


@pytest.mark.parametrize("network", [ByFrame(), Run(by_frame, CONV)])
@pytest.mark.parametrize("batch", [1, 2])
def test_frames_are_an_axis_of_fields(network, batch):
    inspection = inspect(network, [torch.zeros(batch, 5, 3, 8, 8)])
    found, output = inspection.network_field, inspection.graph.outputs[0]
    assert found is not None and [(f.size, f.stride) for f in found.fields] == [(1, 1), (3, 1), (3, 1)]
    assert "1×3×3 positions at stride 1" in str(inspection)
    assert inspection.to_dict()["inputs"][0]["axes"] == ["batch", "frames", "channels", "rows", "columns"]
    assert inspection.to_dict()["layers"][-1]["receptive_field"]["size"] == [1, 3, 3]
    shifted = value_axes(inspection.graph, output)
    assert (shifted.names[1:3], shifted.letters) == (("frames", "channels"), "T,Y,X")


def test_a_place_in_a_clip(tmp_path):
    saved = tmp_path / "clip.npy"
    np.save(saved, np.ones((5, 3, 8, 8), np.float32))
    network = nn.Sequential(ByFrame(), nn.ReLU())
    assert field(inspect(network, (5, 3, 8, 8)), "1", (2, 4, 5), channel=3).spans == ((2, 2), (3, 5), (4, 6))
    made = explain(network, str(saved), layer="1", at=(2, 4, 5), channel=3, input_shape=(5, 3, 8, 8))
    assert "channel 3 at (2, 4, 5), of 5×4×8×8" in str(made) and made.box.first == (2, 3, 4)
    with pytest.raises(GeometryError, match="3 numbers, T,Y,X"):
        explain(network, str(saved), layer="1", at=(4, 5), input_shape=(5, 3, 8, 8))


def test_a_clip_has_no_depth(tmp_path):
    saved = tmp_path / "clip.npy"
    np.save(saved, np.ones((5, 3, 8, 8), np.float32))
    found = field(inspect(ByFrame(), (5, 3, 8, 8)), "conv", (4, 4))
    assert "frames 0 to 0, rows 3 to 5, columns 3 to 5 (1×3×3) of the input" in str(found)
    assert "depth" not in str(found) + str(found.to_html())
    made = explain(ByFrame(), str(saved), layer="conv", at=(1, 1), input_shape=(5, 3, 8, 8))
    assert "frames 0–0, rows 0–2, columns 0–2" in str(made)
    assert "float32 of 5×3×8×8; its numbers are used as they are" in str(made)
