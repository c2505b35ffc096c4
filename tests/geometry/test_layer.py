"""One layer worked out equals what torch does with it."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from convscope.errors import GeometryError
from convscope.geometry.layer import require_whole, work_out


def touched(layer: nn.Module, size: int) -> tuple[set[int], set[int], int]:
    """Input positions with a gradient, output positions that any input reaches, and the output's size."""
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, 1, size, dtype=torch.float64, requires_grad=True)
    y = layer.double()(x)
    y.sum().backward()
    assert x.grad is not None
    reached = {i for i in range(y.shape[-1]) if y[0, 0, i] != 0}
    return {i for i in range(size) if x.grad[0, 0, i] != 0}, reached, y.shape[-1]


SETTINGS = {
    "size": st.integers(1, 24),
    "kernel": st.integers(1, 6),
    "stride": st.integers(1, 5),
    "padding": st.integers(0, 4),
    "dilation": st.integers(1, 3),
}


@settings(deadline=None, max_examples=150)
@given(**SETTINGS)
def test_never_read_pixels_are_those_without_a_gradient(size, kernel, stride, padding, dilation):
    assume(size + 2 * padding >= dilation * (kernel - 1) + 1)
    axis = work_out((size,), kernel, stride=stride, padding=padding, dilation=dilation).axes[0]
    read, _, output = touched(nn.Conv1d(1, 1, kernel, stride, padding, dilation, bias=False), size)
    assert axis.output_size == output
    assert set(axis.never_read) == set(range(size)) - read


@settings(deadline=None, max_examples=150)
@given(**SETTINGS)
def test_transposed_outputs_without_input_are_the_bias_alone(size, kernel, stride, padding, dilation):
    assume((size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 >= 1)
    layer = work_out(
        (size,), kernel, kind="transposed convolution", stride=stride, padding=padding, dilation=dilation,
        in_channels=1, out_channels=1, bias=False,
    )  # fmt: skip
    module = nn.ConvTranspose1d(1, 1, kernel, stride, padding, dilation=dilation, bias=False)
    read, reached, output = touched(module, size)
    axis = layer.axes[0]
    assert axis.output_size == output
    assert set(axis.never_read) == set(range(size)) - read
    assert set(axis.bias_only) == set(range(output)) - reached
    assert layer.cost is not None and layer.cost.macs == size * kernel


@given(size=st.integers(3, 60), kernel=st.integers(1, 7), stride=st.integers(1, 4), padding=st.integers(0, 3))
def test_strict_says_a_size_that_then_passes(size, kernel, stride, padding):
    assume(kernel >= stride and size + 2 * padding >= kernel)
    layer = work_out((size,), kernel, stride=stride, padding=padding)
    try:
        require_whole(layer)
    except GeometryError:
        remainder = layer.axes[0].remainder
        assert remainder
        require_whole(work_out((size + stride - remainder,), kernel, stride=stride, padding=padding))


def test_the_lecture_s_hundred_filters_beside_a_hundred_units():
    small = work_out((32, 32), 3, padding=1, in_channels=3, out_channels=100)
    large = work_out((224, 224), 3, padding=1, in_channels=3, out_channels=100)
    assert small.cost and large.cost and small.units_cost and large.units_cost
    assert small.cost.parameters == large.cost.parameters == 2_800
    assert small.units_cost.parameters == 307_300
    assert large.units_cost.parameters == 15_052_900


@pytest.mark.parametrize("kind", ["convolution", "transposed convolution", "pooling"])
def test_a_stride_of_0_is_refused(kind):
    with pytest.raises(GeometryError, match="stride must be at least 1, got 0"):
        work_out((32, 32), 3, kind=kind, stride=0)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_pooling_takes_its_padding_as_a_number(padding):
    with pytest.raises(GeometryError, match=f"padding '{padding}' belongs to convolution, not to pooling"):
        work_out((8,), 2, kind="pooling", padding=padding)
