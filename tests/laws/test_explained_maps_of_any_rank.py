"""Law: a layer of one, two or three dimensions, explained, gives torch's number from numbers that the input holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convscope.interpret.explanation.lens import Lens
from convscope.interpret.explanation.record import Explanation

CHANNELS = 4
Make = Callable[[st.DataObject, int], nn.Module]


def of_rank(name: str, rank: int) -> type[nn.Module]:
    found: type[nn.Module] = getattr(nn, f"{name}{rank}d")
    return found


def per_axis(data: st.DataObject, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(data.draw(st.integers(low, high)) for _ in range(rank))


def convolution(data: st.DataObject, rank: int) -> nn.Module:
    kernel, dilation = per_axis(data, rank, 1, 3), per_axis(data, rank, 1, 2)
    mode = data.draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    same = data.draw(st.booleans())
    return of_rank("Conv", rank)(
        CHANNELS, 2 * CHANNELS, kernel, dilation=dilation, groups=data.draw(st.sampled_from([1, 2, CHANNELS])),
        bias=data.draw(st.booleans()), padding_mode=mode, stride=1 if same else per_axis(data, rank, 1, 3),
        padding="same" if same else tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)),
    )  # fmt: skip


def transposed(data: st.DataObject, rank: int) -> nn.Module:
    stride = per_axis(data, rank, 1, 3)
    return of_rank("ConvTranspose", rank)(
        CHANNELS, CHANNELS, per_axis(data, rank, 2, 3), stride=stride, padding=per_axis(data, rank, 0, 1),
        output_padding=tuple(s - 1 for s in stride), groups=data.draw(st.sampled_from([1, 2])),
    )  # fmt: skip


def max_pool(data: st.DataObject, rank: int) -> nn.Module:
    return of_rank("MaxPool", rank)(
        per_axis(data, rank, 2, 3), stride=per_axis(data, rank, 1, 3), padding=per_axis(data, rank, 0, 1),
        dilation=per_axis(data, rank, 1, 2), ceil_mode=data.draw(st.booleans()),
    )  # fmt: skip


def average_pool(data: st.DataObject, rank: int) -> nn.Module:
    return of_rank("AvgPool", rank)(
        per_axis(data, rank, 2, 3), stride=per_axis(data, rank, 1, 3), padding=per_axis(data, rank, 0, 1),
        ceil_mode=data.draw(st.booleans()), count_include_pad=data.draw(st.booleans()),
    )  # fmt: skip


def batch_norm(data: st.DataObject, rank: int) -> nn.Module:
    norm = of_rank("BatchNorm", rank)(CHANNELS)
    norm.get_buffer("running_mean").normal_()
    norm.get_buffer("running_var").uniform_(0.5, 2)
    return norm


def upsample(data: st.DataObject, rank: int) -> nn.Module:
    mode = data.draw(st.sampled_from(["nearest", {1: "linear", 2: "bilinear", 3: "trilinear"}[rank]]))
    return nn.Upsample(scale_factor=data.draw(st.sampled_from([2.0, 1.5])), mode=mode)


LAYERS: dict[str, Make] = {
    "convolution": convolution,
    "transposed convolution": transposed,
    "max pool": max_pool,
    "average pool": average_pool,
    "adaptive average pool": lambda data, rank: of_rank("AdaptiveAvgPool", rank)(per_axis(data, rank, 1, 3)),
    "adaptive max pool": lambda data, rank: of_rank("AdaptiveMaxPool", rank)(per_axis(data, rank, 1, 3)),
    "power average pool": lambda data, rank: of_rank("LPPool", rank)(2, 2),
    "batch norm": batch_norm,
    "instance norm": lambda data, rank: of_rank("InstanceNorm", rank)(CHANNELS, affine=data.draw(st.booleans())),
    "group norm": lambda data, rank: nn.GroupNorm(2, CHANNELS),
    "local response norm": lambda data, rank: nn.LocalResponseNorm(data.draw(st.integers(1, 5))),
    "upsample": upsample,
    "reflection": lambda data, rank: of_rank("ReflectionPad", rank)(data.draw(st.integers(0, 2))),
    "replication": lambda data, rank: of_rank("ReplicationPad", rank)(data.draw(st.integers(0, 2))),
    "constant": lambda data, rank: of_rank("ConstantPad", rank)(data.draw(st.integers(0, 2)), 0.5),
    "gated linear unit": lambda data, rank: nn.GLU(data.draw(st.sampled_from([1, 2]))),
    "channel softmax": lambda data, rank: nn.Softmax(1),
    "parametric relu": lambda data, rank: nn.PReLU(CHANNELS),
    "linear on the last axis": lambda data, rank: nn.Linear(SIZES[rank][-1], 3),
    "dropout": lambda data, rank: nn.Sequential(of_rank("Conv", rank)(CHANNELS, 2, 1), of_rank("Dropout", rank)()),
}
# Unequal sides, no multiple of a stride; the first is one that a GLU can halve.
SIZES = {1: (6,), 2: (6, 5), 3: (6, 5, 7)}


def require_torchs_number(found: Explanation) -> None:
    """The number is torch's, and each operand is what the network holds at the place that is said."""
    added = [np.abs(one.contributions[one.inside & np.isfinite(one.contributions)]).sum()
             for one in found.worked.operands]  # fmt: skip
    scale = max([abs(found.torch_value), *map(float, added), 1e-30])
    if "norm" in found.operation:  # the mean is subtracted: torch rounds by the size of what it is subtracted from
        scale = max([scale, *(float(np.abs(one.numbers[one.inside]).max()) for one in found.worked.operands)])
    assert abs(found.difference) <= 2e-6 * scale, (found.operation, found.position, found.value, found.torch_value)
    for one in found.worked.operands:
        held = found.lens.numbers(one.value)
        inside = np.broadcast_to(one.inside, one.numbers.shape)
        places = tuple(np.broadcast_to(axis, one.numbers.shape)[inside] for axis in one.positions)
        assert np.array_equal(held[places], one.numbers[inside])
    assert str(found) and found._repr_html_() and found.to_dict()


def require_explained(name: str, data: st.DataObject, rank: int, seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(LAYERS[name](data, rank)).eval()
    x = torch.randn(1, CHANNELS, *SIZES[rank])
    lens = Lens(network, [x])
    layer, shape = lens.names.layers[-1], lens.graph.shape(lens.graph.outputs[0])
    place = (0, *(data.draw(st.integers(0, size - 1)) for size in shape[1:]))
    axes = lens.axes(layer.output)  # channels are in the last one after a linear layer
    found = lens.cell(layer.name, channel=place[axes.channels or 1], at=[place[axis] for axis in axes.positions])
    assert found.shape == shape and found.position == place
    with torch.inference_mode():
        assert found.torch_value == float(network(x)[found.position])
    require_torchs_number(found)
    for deeper in found.to_pixels(12)[1:]:
        require_torchs_number(deeper)


DRAWN = {"data": st.data(), "rank": st.sampled_from([1, 3, 2]), "seed": st.integers(0, 2**16)}


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=3, deadline=None)
@given(**DRAWN)
def test_a_layer_of_any_rank(name: str, data: st.DataObject, rank: int, seed: int) -> None:
    require_explained(name, data, rank, seed)


@pytest.mark.long
@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=150, deadline=None)
@given(**DRAWN)
def test_a_layer_of_any_rank_at_length(name: str, data: st.DataObject, rank: int, seed: int) -> None:
    require_explained(name, data, rank, seed)
