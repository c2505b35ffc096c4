"""Operators of torchvision's that have a rule, by their schemas alone: torchvision need not be there."""

import pytest
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.geometry.relation import ReachStatus
from convscope.graph.reach_walk import walk_back

SCHEMA = (
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, "
    "SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, "
    "SymInt offset_groups, bool use_mask) -> Tensor"
)


@pytest.fixture(scope="module")
def deform_conv2d():
    """torchvision's operator, or one of its schema that makes tensors of its shape."""
    try:
        yield torch.ops.torchvision.deform_conv2d
    except AttributeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define(SCHEMA)
        library.impl("deform_conv2d", _shape_alone, "Meta")
        yield torch.ops.torchvision.deform_conv2d


def _shape_alone(x, weight, offset, *_):
    return x.new_empty(x.shape[0], weight.shape[0], *offset.shape[2:])


class Deformable(nn.Module):
    """A 3x3 deformable convolution of stride 2, whose offsets (and masks) a 1x1 convolution makes."""

    def __init__(self, operator, masked: bool) -> None:
        super().__init__()
        self.operator, self.masked = operator, masked
        self.offsets = nn.Conv2d(4, 27 if masked else 18, 1, stride=2)
        self.weight, self.bias = nn.Parameter(torch.ones(6, 2, 3, 3)), nn.Parameter(torch.ones(6))

    def forward(self, x):
        steering = self.offsets(x)
        mask = steering[:, 18:].sigmoid() if self.masked else steering.new_zeros(x.shape[0], 1)
        return self.operator(
            x, self.weight, steering[:, :18], mask, self.bias, 2, 2, 1, 1, 1, 1, 2, 1, self.masked
        )  # fmt: skip


@pytest.mark.parametrize("masked", [False, True])
def test_deformable_convolution(deform_conv2d, masked: bool) -> None:
    graph = capture(Deformable(deform_conv2d, masked), (4, 8, 6), batch_size=2)
    assert graph.error is None and graph.uncounted == ()
    node = next(node for node in graph.nodes if node.op == "deformable_convolution")
    # A sixth of a channel's filters read half of the channels: 2 · 6 · 4 · 3 outputs of 2 · 3 · 3 products each.
    assert node.macs == 2 * 6 * 4 * 3 * 2 * 9 and graph.shape(node.outputs[0]) == (2, 6, 4, 3)
    walk = walk_back(graph, graph.outputs[0], (0, 0, 1, 1))
    assert walk.status(graph.inputs[0]) is ReachStatus.DATA_DEPENDENT and walk.mask(graph.inputs[0]).all()
    steering = next(node for node in graph.nodes if node.op == "convolution")
    read = walk.mask(steering.outputs[0])
    assert read.sum() == 1 and read[1, 1]


@pytest.fixture(scope="module")
def roi_align():
    """torchvision's operator, or one of its schema that makes tensors of its shape."""
    try:
        yield torch.ops.torchvision.roi_align
    except AttributeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define(
            "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
            "int sampling_ratio, bool aligned) -> Tensor"
        )
        library.impl("roi_align", lambda x, r, s, h, w, *_: x.new_empty(r.shape[0], x.shape[1], h, w), "Meta")
        yield torch.ops.torchvision.roi_align


class Boxed(nn.Module):
    """One box for each image, made by a linear layer of its means."""

    def __init__(self, operator) -> None:
        super().__init__()
        self.operator, self.conv, self.corners = operator, nn.Conv2d(3, 4, 1), nn.Linear(4, 5)

    def forward(self, x):
        maps = self.conv(x)
        return self.operator(maps, self.corners(maps.mean((2, 3))), 1.0, 7, 5, 2, True)


def test_boxes_read_anywhere_on_the_maps_and_at_their_own_corners(roi_align) -> None:
    graph = capture(Boxed(roi_align), (3, 8, 6), batch_size=2)
    node = next(node for node in graph.nodes if node.op == "roi_align")
    assert graph.error is None and graph.shape(node.outputs[0]) == (2, 4, 7, 5)
    assert node.macs is None and node.paths is not None
    walk = walk_back(graph, node.outputs[0], (0, 2, 1, 1))
    assert walk.status(node.inputs[0]) is ReachStatus.DATA_DEPENDENT and walk.mask(node.inputs[0]).all()
    assert walk_back(graph, node.inputs[1], (0, 0)).status(graph.inputs[0]) is not ReachStatus.DATA_DEPENDENT


def test_values_that_occur_are_found_among_all() -> None:
    class Occurring(nn.Module):
        def forward(self, x):
            values, places, counts = torch.unique(x, return_inverse=True, return_counts=True)
            return values[places] * counts.sum()

    graph = capture(Occurring(), [torch.tensor([[1.0, 2.0, 2.0, 5.0]])])
    assert graph.error is None and all(node.paths is not None for node in graph.nodes)
    assert walk_back(graph, graph.outputs[0], (0, 1)).status(graph.inputs[0]) is ReachStatus.DATA_DEPENDENT
