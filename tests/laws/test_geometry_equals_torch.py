"""Our sizes and taps are torch's, on every setting that hypothesis can think of."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.errors import GeometryError
from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.pooling import adaptive_ranges
from convscope.geometry.resize import resize_taps, scales_that_count
from convscope.geometry.taps import TapTable, adaptive_taps, pad_taps, transposed_taps, window_taps
from convscope.geometry.window import Window, same_padding, smallest_input
from convscope.reference.pooling import average_pool, max_pool
from convscope.reference.resize import resize

sizes = st.integers(1, 24)
kernels = st.integers(1, 6)
strides = st.integers(1, 4)
dilations = st.integers(1, 3)


def support(layer, size: int) -> np.ndarray:
    """Which inputs each output depends on, by gradients with positive weights: (outputs, inputs)."""
    return weight_matrix(layer, size) != 0


def weight_matrix(layer, size: int) -> np.ndarray:
    """The gradient of each output by each input: (outputs, inputs)."""
    x = torch.rand(1, 1, size, dtype=torch.float64, requires_grad=True)
    y = layer(x).reshape(-1)
    rows = [torch.autograd.grad(y[u], x, retain_graph=True)[0].reshape(-1) for u in range(len(y))]
    return torch.stack(rows).numpy()


def table_support(table: TapTable) -> np.ndarray:
    read = np.zeros((table.output_size, table.input_size + 1), dtype=bool)
    np.put_along_axis(read, table.clipped, True, axis=1)
    return read[:, :-1]


@given(size=sizes, kernel=kernels, stride=strides, padding=st.integers(0, 4), dilation=dilations)
@settings(deadline=None, max_examples=150)
def test_convolution(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    window = Window.of(kernel, stride=stride, padding=padding, dilation=dilation)
    weight = torch.ones(1, 1, kernel, dtype=torch.float64)

    def layer(x: torch.Tensor) -> torch.Tensor:
        return F.conv1d(x, weight, stride=stride, padding=padding, dilation=dilation)

    if not window.fits(size):
        with pytest.raises(GeometryError, match="does not fit"):
            window.output_size(size)
        assert smallest_input(window) > size
        return
    found = support(layer, size)
    assert window.output_size(size) == len(found)
    assert (table_support(window_taps(window, size)) == found).all()
    assert window.never_read(size) == np.flatnonzero(~found.any(axis=0)).tolist()


@given(size=sizes, kernel=kernels, dilation=dilations)
@settings(deadline=None, max_examples=60)
def test_same_padding(size: int, kernel: int, dilation: int) -> None:
    before, after = same_padding(kernel, dilation=dilation)
    weight = torch.ones(1, 1, kernel, dtype=torch.float64)
    found = support(lambda x: F.conv1d(F.pad(x, (before, after)), weight, dilation=dilation), size)
    window = Window.of(kernel, padding="same", dilation=dilation)
    assert window.output_size(size) == size == len(found)
    assert (table_support(window_taps(window, size)) == found).all()


def check_pooling(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> None:
    """Sizes, taps and NumPy's pooling against torch's, on rising numbers: a maximum is the last one that is read."""
    window = Window(
        kernel_size=kernel, stride=stride, dilation=dilation, padding_before=padding, padding_after=padding,
        ceil_mode=ceil,
    )  # fmt: skip
    x = torch.arange(1.0, size + 1)[None, None]
    settings = {"stride": stride, "padding": padding, "ceil_mode": ceil}
    assert window.fits(size) == (size >= smallest_input(window))
    if not window.fits(size):
        with pytest.raises(RuntimeError):
            F.max_pool1d(x, kernel, dilation=dilation, **settings)
        with pytest.raises(GeometryError, match="does not fit"):
            window.output_size(size)
        return
    pooled = F.max_pool1d(x, kernel, dilation=dilation, **settings).numpy()
    table = window_taps(window, size)
    assert window.output_size(size) == pooled.shape[-1]
    assert f"{window.formula(size)} ".endswith(f" = {pooled.shape[-1]} ")
    assert np.array_equal(np.where(table.inside, table.positions + 1, -np.inf).max(axis=1), pooled[0, 0])
    assert np.array_equal(max_pool(x.numpy(), kernel, dilation=dilation, **settings), pooled)
    for included in (True, False) if dilation == 1 else ():
        mean = F.avg_pool1d(x, kernel, count_include_pad=included, **settings).numpy()
        np.testing.assert_allclose(average_pool(x.numpy(), kernel, count_include_pad=included, **settings), mean, 1e-6)


def pooling_grid(sizes: int, kernels: int, strides: int, dilations: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Every setting that torch takes: it pads by half of the kernel at most."""
    axes = (range(1, sizes + 1), range(1, kernels + 1), range(1, strides + 1), range(3), range(1, dilations + 1))
    return (case for case in product(*axes) if case[3] <= case[1] // 2)


@pytest.mark.parametrize("ceil", [False, True])
def test_pooling_on_a_grid_of_small_sizes(ceil: bool) -> None:
    for case in pooling_grid(5, 4, 3, 2):
        check_pooling(*case, ceil)


@pytest.mark.long
@pytest.mark.parametrize("ceil", [False, True])
def test_pooling_on_the_whole_grid(ceil: bool) -> None:
    for case in pooling_grid(24, 7, 6, 4):
        check_pooling(*case, ceil)


@given(
    size=st.integers(1, 12),
    kernel=kernels,
    stride=strides,
    padding=st.integers(0, 3),
    dilation=dilations,
    data=st.data(),
)
@settings(deadline=None, max_examples=150)
def test_transposed_convolution(size: int, kernel: int, stride: int, padding: int, dilation: int, data) -> None:
    output_padding = data.draw(st.integers(0, max(stride, dilation) - 1))
    window = TransposedWindow(
        window=Window.of(kernel, stride=stride, padding=padding, dilation=dilation), output_padding=output_padding
    )
    weight = torch.ones(1, 1, kernel, dtype=torch.float64)

    def layer(x: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose1d(
            x, weight, stride=stride, padding=padding, dilation=dilation, output_padding=output_padding
        )

    if (size - 1) * stride + dilation * (kernel - 1) + 1 + output_padding <= 2 * padding:
        with pytest.raises(GeometryError):
            window.output_size(size)
        return
    found = support(layer, size)
    assert window.output_size(size) == len(found)
    assert (table_support(transposed_taps(window, size)) == found).all()


@given(size=st.integers(1, 40), out=st.integers(1, 20))
@settings(deadline=None, max_examples=80)
def test_adaptive_pooling(size: int, out: int) -> None:
    found = support(lambda x: F.adaptive_avg_pool1d(x, out), size)
    assert (table_support(adaptive_taps(size, out)) == found).all()
    assert [(int(row.argmax()), int(row.argmax() + row.sum())) for row in found] == adaptive_ranges(size, out)


@given(
    size=st.integers(2, 12),
    out=st.integers(1, 30),
    mode=st.sampled_from(["nearest", "nearest-exact", "linear"]),
    align=st.booleans(),
)
@settings(deadline=None, max_examples=120)
def test_resize(size: int, out: int, mode: str, align: bool) -> None:
    corners = {"align_corners": align} if mode == "linear" else {}
    found = support(lambda x: F.interpolate(x, size=out, mode=mode, **corners), size)
    table = resize_taps(size, out, mode, align_corners=align and mode == "linear")
    # Where the source coordinate falls on a pixel, float rounding may give a neighbour a weight of 1e-7 or 0.
    differs = found != table_support(table)
    weights = weight_matrix(lambda x: F.interpolate(x, size=out, mode=mode, **corners), size)
    assert (np.abs(weights[differs]) < 1e-6).all()


RESIZES = {
    "nearest": ("nearest", "nearest", "nearest"), "nearest-exact": ("nearest-exact",) * 3,
    "linear": ("linear", "bilinear", "trilinear"), "cubic": ("", "bicubic", ""),
}  # fmt: skip


@given(
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=3),
    mode=st.sampled_from(list(RESIZES)),
    factors=st.lists(st.sampled_from([0.6, 0.95, 1.0, 1.05, 1.1, 1.7, 2.0, 2.05, 2.1]), min_size=3, max_size=3),
)
@settings(deadline=None, max_examples=100)
def test_resize_by_factors(sizes: list[int], mode: str, factors: list[float]) -> None:
    theirs, factors = RESIZES[mode][len(sizes) - 1], factors[: len(sizes)]
    wanted = [int(size * factor) for size, factor in zip(sizes, factors, strict=True)]
    if not theirs or 0 in wanted:
        return
    x = torch.rand(1, 2, *sizes, dtype=torch.float64)
    found = F.interpolate(x, scale_factor=tuple(factors), mode=theirs).numpy()
    assert list(found.shape[2:]) == wanted
    np.testing.assert_allclose(resize(x.numpy(), wanted, mode=mode, scales=factors), found, rtol=1e-5)
    # Where a position is read, one more there changes the result.
    scales = scales_that_count(sizes, wanted, mode, factors)
    for axis, (size, out, scale) in enumerate(zip(sizes, wanted, scales, strict=True)):
        table = table_support(resize_taps(size, out, mode, scale=scale))
        for i in range(size):
            more = x.clone()
            more.select(2 + axis, i).add_(1.0)
            changed = np.abs(F.interpolate(more, scale_factor=tuple(factors), mode=theirs).numpy() - found) > 1e-6
            others = tuple(a for a in range(changed.ndim) if a != 2 + axis)
            assert (changed.any(axis=others) <= table[:, i]).all()


@given(size=st.integers(4, 12), out=st.integers(1, 30), align=st.booleans())
@settings(deadline=None, max_examples=60)
def test_bicubic_resize(size: int, out: int, align: bool) -> None:
    def layer(x: torch.Tensor) -> torch.Tensor:
        square = x.reshape(1, 1, size, 1).expand(1, 1, size, 4)
        return F.interpolate(square, size=(out, 4), mode="bicubic", align_corners=align)[..., 0]

    found = support(layer, size)
    table = table_support(resize_taps(size, out, "cubic", align_corners=align))
    assert (np.abs(weight_matrix(layer, size)[found != table]) < 1e-6).all()


@given(size=st.integers(3, 12), before=st.integers(0, 2), after=st.integers(0, 2))
@settings(deadline=None, max_examples=40)
def test_padding_modes(size: int, before: int, after: int) -> None:
    for mode in ("constant", "reflect", "replicate", "circular"):
        found = support(lambda x, mode=mode: F.pad(x, (before, after), mode=mode), size)
        assert (table_support(pad_taps(before, after, mode, size)) == found).all()
