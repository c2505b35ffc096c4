"""Law: every operation of `reference` is PyTorch's, forward and backward, in float64 to 1e-10 relative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.arrays import Array
from convscope.reference import activation, linear, loss, normalization, optimizer, pooling
from convscope.reference.convolution import convolve, convolve_backward, flipped, true_convolve
from convscope.reference.gradient_check import relative_error
from convscope.reference.resize import NumpyResizeMode, resize, resize_backward
from convscope.reference.transposed import transposed_convolve, transposed_convolve_backward

TOLERANCE = 1e-10
grid = settings(max_examples=150, deadline=None, derandomize=True)


def require_equal(
    ours: Callable[..., Array],
    ours_backward: Callable[..., Array | Sequence[Array]],
    theirs: Callable[..., torch.Tensor],
    inputs: Sequence[Array],
) -> None:
    """Our output and gradients against PyTorch's, for a random gradient of the output."""
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = theirs(*tensors)
    output = ours(*inputs)
    assert output.shape == tuple(expected.shape)
    assert relative_error(output, expected.detach().numpy()) <= TOLERANCE
    grad_output = np.random.default_rng(1).standard_normal(output.shape)
    expected.backward(torch.tensor(grad_output))
    found = ours_backward(grad_output, *inputs)
    gradients = [found] if isinstance(found, np.ndarray) else list(found)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert tensor.grad is not None
        assert gradient.shape == tuple(tensor.grad.shape)
        assert relative_error(gradient, tensor.grad.numpy()) <= TOLERANCE


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Array, Array, Array, dict[str, object]]:
    """Inputs and settings of a convolution in one, two or three dimensions that fits."""
    dimensions = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    per_axis = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dimensions))  # noqa: E731
    kernel, stride, dilation, padding = per_axis(1, 4), per_axis(1, 3), per_axis(1, 3), per_axis(0, 3)
    extra = per_axis(0, 5)
    sizes = [max(1, d * (k - 1) + 1 - 2 * p + e) for k, d, p, e in zip(kernel, dilation, padding, extra, strict=True)]
    in_group, out_group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    x = normal(draw(st.integers(0, 99)), draw(st.integers(1, 3)), in_group * groups, *sizes)
    weight = normal(2, out_group * groups, in_group, *kernel)
    return x, weight, normal(3, out_group * groups), {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups
    }  # fmt: skip


@grid
@given(convolutions())
def test_convolution(case: tuple[Array, Array, Array, dict[str, object]]) -> None:
    x, weight, bias, how = case
    torch_convolution = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    require_equal(
        lambda *a: convolve(*a, **how),
        lambda grad, x, w, b: convolve_backward(grad, x, w, **how),
        lambda *a: torch_convolution(*a, **how),
        [x, weight, bias],
    )


@grid
@given(convolutions())
def test_true_convolution_is_convolution_with_the_kernel_turned_around(
    case: tuple[Array, Array, Array, dict[str, object]],
) -> None:
    x, weight, bias, how = case
    assert np.array_equal(true_convolve(x, flipped(weight), bias, **how), convolve(x, weight, bias, **how))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_true_convolution_commutes(a: int, b: int, c: int, d: int) -> None:
    f, g = normal(1, 1, 1, a, b), normal(2, 1, 1, c, d)
    one, other = true_convolve(f, g, padding=(c - 1, d - 1)), true_convolve(g, f, padding=(a - 1, b - 1))
    assert relative_error(one, other) <= TOLERANCE


@grid
@given(convolutions(), st.data())
def test_transposed_convolution(case: tuple[Array, Array, Array, dict[str, object]], data: st.DataObject) -> None:
    _, weight, _, how = case
    dimensions = weight.ndim - 2
    stride, dilation, padding = how["stride"], how["dilation"], how["padding"]
    sizes = []
    for axis in range(dimensions):
        span = dilation[axis] * (weight.shape[2 + axis] - 1) + 1
        least = max(1, -(-(2 * padding[axis] - span + 1) // stride[axis]) + 1)
        sizes.append(least + data.draw(st.integers(0, 3)))
    how = dict(
        how,
        output_padding=tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)),
    )
    x = normal(4, 2, weight.shape[0], *sizes)
    bias = normal(5, weight.shape[1] * int(how["groups"]))
    theirs = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[dimensions]
    require_equal(
        lambda *a: transposed_convolve(*a, **how),
        lambda grad, x, w, b: transposed_convolve_backward(grad, x, w, **how),
        lambda *a: theirs(*a, **how),
        [x, weight, bias],
    )


@st.composite
def poolings(draw: st.DrawFn, *, dilated: bool) -> tuple[Array, dict[str, object]]:
    """An input and the settings of a pooling that fits."""
    dimensions = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 4)) for _ in range(dimensions)]
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    dilation = [draw(st.integers(1, 2)) if dilated else 1 for _ in kernel]
    # Smaller inputs exist, but PyTorch refuses them in 3-D, and elsewhere some windows would hold padding alone.
    sizes = [d * (k - 1) + 1 + draw(st.integers(0, 5)) for k, d in zip(kernel, dilation, strict=True)]
    how: dict[str, object] = {
        "kernel_size": tuple(kernel),
        "stride": tuple(draw(st.integers(1, 4)) for _ in kernel),
        "padding": tuple(padding),
        "ceil_mode": draw(st.booleans()),
    }
    if dilated:
        how["dilation"] = tuple(dilation)
    return normal(draw(st.integers(0, 99)), 2, 3, *sizes), how


@grid
@given(poolings(dilated=True))
def test_max_pool(case: tuple[Array, dict[str, object]]) -> None:
    x, how = case
    theirs = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}[x.ndim]
    require_equal(
        lambda x: pooling.max_pool(x, **how),
        lambda grad, x: pooling.max_pool_backward(grad, x, **how),
        lambda x: theirs(x, **how),
        [x],
    )


def test_max_pool_gives_a_tie_to_the_first_and_lets_nan_through() -> None:
    x = np.round(normal(0, 2, 3, 9, 9))
    require_equal(
        lambda x: pooling.max_pool(x, 3, stride=2, padding=1),
        lambda grad, x: pooling.max_pool_backward(grad, x, 3, stride=2, padding=1),
        lambda x: F.max_pool2d(x, 3, stride=2, padding=1),
        [x],
    )
    x[0, 0, 4, 4] = np.nan
    expected = F.max_pool2d(torch.tensor(x), 3).numpy()
    assert np.array_equal(pooling.max_pool(x, 3), expected, equal_nan=True)


@grid
@given(poolings(dilated=False), st.booleans(), st.sampled_from([None, 1, 5]))
def test_average_pool(case: tuple[Array, dict[str, object]], count_include_pad: bool, divisor: int | None) -> None:
    x, how = case
    how = dict(how, count_include_pad=count_include_pad)
    theirs = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}[x.ndim]
    if x.ndim > 3 and divisor is not None:
        theirs, how["divisor"] = partial(theirs, divisor_override=divisor), divisor
    require_equal(
        lambda x: pooling.average_pool(x, **how),
        lambda grad, x: pooling.average_pool_backward(grad, x, **how),
        lambda x: theirs(x, **{name: value for name, value in how.items() if name != "divisor"}),
        [x],
    )


@grid
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3))
def test_adaptive_pools(axes: list[tuple[int, int]]) -> None:
    x, output = normal(0, 2, 2, *(size for size, _ in axes)), tuple(out for _, out in axes)
    average = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[len(axes)]
    largest = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}[len(axes)]
    for ours, ours_backward, theirs in (
        (pooling.adaptive_average_pool, pooling.adaptive_average_pool_backward, average),
        (pooling.adaptive_max_pool, pooling.adaptive_max_pool_backward, largest),
    ):
        require_equal(
            lambda x, f=ours: f(x, output),
            lambda grad, x, f=ours_backward: f(grad, x, output),
            lambda x, f=theirs: f(x, output),
            [x],
        )


@grid
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3),
    st.sampled_from(["nearest", "nearest-exact", "linear"]),
    st.booleans(),
)
def test_resize(axes: list[tuple[int, int]], mode: NumpyResizeMode, aligned: bool) -> None:
    x, output = normal(0, 2, 2, *(size for size, _ in axes)), tuple(out for _, out in axes)
    theirs = mode if mode != "linear" else {1: "linear", 2: "bilinear", 3: "trilinear"}[len(axes)]
    corners = {"align_corners": aligned} if mode == "linear" else {}
    require_equal(
        lambda x: resize(x, output, mode=mode, **corners),
        lambda grad, x: resize_backward(grad, x, output, mode=mode, **corners),
        lambda x: F.interpolate(x, size=output, mode=theirs, **corners),
        [x],
    )


@grid
@given(convolutions(), st.integers(64, 4096))
def test_blocks_of_any_size_give_the_same(
    case: tuple[Array, Array, Array, dict[str, object]], bytes_a_block: int
) -> None:
    x, weight, bias, how = case
    output = convolve(x, weight, bias, **how)
    gradients = convolve_backward(output, x, weight, **how)
    with mock.patch("convscope.reference.sliding.BLOCK_BYTES", bytes_a_block):
        assert relative_error(convolve(x, weight, bias, **how), output) <= TOLERANCE
        for ours, whole in zip(convolve_backward(output, x, weight, **how), gradients, strict=True):
            assert relative_error(ours, whole) <= TOLERANCE


def test_global_pools() -> None:
    x = normal(0, 2, 3, 4, 5)
    require_equal(
        pooling.global_average_pool, pooling.global_average_pool_backward, lambda x: x.mean((2, 3), keepdim=True), [x]
    )
    require_equal(
        pooling.global_max_pool, pooling.global_max_pool_backward, lambda x: x.amax((2, 3), keepdim=True), [x]
    )


ACTIVATIONS: list[tuple[Callable[..., Array], Callable[..., Array], Callable[..., torch.Tensor]]] = [
    (activation.relu, activation.relu_backward, F.relu),
    (activation.leaky_relu, activation.leaky_relu_backward, F.leaky_relu),
    (activation.sigmoid, activation.sigmoid_backward, torch.sigmoid),
    (activation.tanh, activation.tanh_backward, torch.tanh),
    (activation.gelu, activation.gelu_backward, F.gelu),
    (
        lambda x: activation.gelu(x, approximate=True),
        lambda grad, x: activation.gelu_backward(grad, x, approximate=True),
        lambda x: F.gelu(x, approximate="tanh"),
    ),
    (activation.silu, activation.silu_backward, F.silu),
    (activation.softmax, activation.softmax_backward, lambda x: F.softmax(x, dim=-1)),
    (activation.log_softmax, activation.log_softmax_backward, lambda x: F.log_softmax(x, dim=-1)),
]


def test_activations_near_and_far_from_zero() -> None:
    for ours, ours_backward, theirs in ACTIVATIONS:
        for scale in (1.0, 30.0):
            require_equal(ours, ours_backward, theirs, [scale * normal(0, 4, 17)])


@grid
@given(st.integers(1, 3), st.integers(2, 4), st.lists(st.integers(2, 4), min_size=0, max_size=3), st.booleans())
def test_batch_norm(samples: int, channels: int, sizes: list[int], training: bool) -> None:
    x, weight, bias = normal(0, samples + 1, channels, *sizes), normal(1, channels), normal(2, channels)
    mean, variance = normal(3, channels), normal(4, channels) ** 2 + 0.1
    how = {} if training else {"mean": mean, "variance": variance}
    running = (torch.tensor(mean), torch.tensor(variance))
    require_equal(
        lambda *a: normalization.batch_norm(*a, **how),
        lambda grad, x, w, b: normalization.batch_norm_backward(grad, x, w, **how),
        lambda x, w, b: F.batch_norm(x, *running, w, b, training=training),
        [x, weight, bias],
    )


def test_layer_norm() -> None:
    require_equal(
        normalization.layer_norm,
        lambda grad, x, w, b: normalization.layer_norm_backward(grad, x, w),
        lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        [normal(0, 3, 4, 5, 6), normal(1, 5, 6), normal(2, 5, 6)],
    )


def test_group_norm() -> None:
    for groups in (1, 2, 6):
        require_equal(
            lambda x, w, b, g=groups: normalization.group_norm(x, g, w, b),
            lambda grad, x, w, b, g=groups: normalization.group_norm_backward(grad, x, g, w),
            lambda x, w, b, g=groups: F.group_norm(x, g, w, b),
            [normal(0, 2, 6, 3, 4), normal(1, 6), normal(2, 6)],
        )


@grid
@given(st.integers(1, 8), st.integers(1, 7), st.sampled_from([1.0, 2.0]))
def test_local_response_norm(channels: int, size: int, k: float) -> None:
    how = {"alpha": 0.3, "beta": 0.75, "k": k}
    require_equal(
        lambda x: normalization.local_response_norm(x, size, **how),
        lambda grad, x: normalization.local_response_norm_backward(grad, x, size, **how),
        lambda x: F.local_response_norm(x, size, **how),
        [normal(0, 2, channels, 3, 4)],
    )


def test_a_large_channel_changes_its_neighbours_alone() -> None:
    x = np.ones((1, 8, 2, 2), dtype=np.float32)
    for large in (1e5, np.nan):
        x[0, 1] = large
        theirs = F.local_response_norm(torch.from_numpy(x), 3, alpha=1.0)
        np.testing.assert_allclose(normalization.local_response_norm(x, 3, alpha=1.0), theirs.numpy(), rtol=1e-6)


def test_means_of_whole_numbers_are_not_rounded() -> None:
    for x in (np.arange(12).reshape(1, 2, 6), np.full((1, 2, 6), 200, np.uint8)):
        real = torch.from_numpy(x).double()
        for ours, theirs in (
            (pooling.average_pool(x, 4), F.avg_pool1d(real, 4)),
            (pooling.adaptive_average_pool(x, 4), F.adaptive_avg_pool1d(real, 4)),
            (activation.gelu(x), F.gelu(real)),
        ):
            np.testing.assert_allclose(ours, theirs.numpy())


def test_linear_and_the_ways_in_which_arrays_meet() -> None:
    require_equal(
        linear.linear,
        lambda grad, x, w, b: linear.linear_backward(grad, x, w),
        F.linear,
        [normal(0, 2, 3, 5), normal(1, 4, 5), normal(2, 4)],
    )
    require_equal(linear.flatten, linear.flatten_backward, lambda x: x.flatten(1), [normal(0, 2, 3, 4, 5)])
    require_equal(linear.add, linear.add_backward, torch.add, [normal(0, 2, 3), normal(1, 2, 3)])
    require_equal(
        lambda *parts: linear.concatenate(parts),
        lambda grad, *parts: linear.concatenate_backward(grad, parts),
        lambda *parts: torch.cat(parts, 1),
        [normal(0, 2, 1, 4), normal(1, 2, 3, 4), normal(2, 2, 2, 4)],
    )


def test_dropout_keeps_the_mean_and_passes_gradient_where_it_kept() -> None:
    mask = activation.dropout_mask((100, 100), rate=0.3, generator=np.random.default_rng(0))
    assert set(np.unique(mask)) == {0.0, 1 / 0.7}
    assert abs(mask.mean() - 1) < 0.03
    x = normal(0, 100, 100)
    require_equal(
        lambda x: activation.dropout(x, mask),
        lambda grad, x: activation.dropout_backward(grad, mask),
        lambda x: x * torch.tensor(mask),
        [x],
    )


def test_losses() -> None:
    scores, labels = 3 * normal(0, 6, 5), np.random.default_rng(0).integers(0, 5, 6)
    targets = np.random.default_rng(1).integers(0, 2, (6, 5)).astype(float)
    wanted = torch.tensor(labels)
    for ours, ours_backward, theirs, aim in (
        (loss.softmax_cross_entropy, loss.softmax_cross_entropy_backward, lambda s: F.cross_entropy(s, wanted), labels),
        # PyTorch divides the hinge by the number of classes, the lecture notes do not.
        (loss.hinge, loss.hinge_backward, lambda s: 5 * F.multi_margin_loss(s, wanted), labels),
        (
            loss.logistic,
            loss.logistic_backward,
            lambda s: F.binary_cross_entropy_with_logits(s, torch.tensor(targets)),
            targets,
        ),
    ):
        tensor = torch.tensor(scores, requires_grad=True)
        expected = theirs(tensor)
        expected.backward()
        assert tensor.grad is not None
        assert abs(ours(scores, aim) - expected.item()) <= TOLERANCE * expected.item()
        assert relative_error(ours_backward(scores, aim), tensor.grad.numpy()) <= TOLERANCE


def test_optimizers_walk_where_torch_walks() -> None:
    for ours, theirs in (
        (
            optimizer.SGD(learning_rate=0.1, momentum=0.9, weight_decay=5e-4),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4),
        ),
        (
            optimizer.Adam(learning_rate=0.01, weight_decay=5e-4),
            lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=5e-4),
        ),
    ):
        parameters = [normal(0, 3, 4), normal(1, 4)]
        tensors = [torch.tensor(p) for p in parameters]
        torch_optimizer = theirs(tensors)
        for step in range(5):
            gradients = [normal(10 + step, *p.shape) for p in parameters]
            ours.step(parameters, gradients)
            for tensor, gradient in zip(tensors, gradients, strict=True):
                tensor.grad = torch.tensor(gradient)
            torch_optimizer.step()
        for parameter, tensor in zip(parameters, tensors, strict=True):
            assert relative_error(parameter, tensor.numpy()) <= TOLERANCE


def test_float32_stays_float32() -> None:
    x, weight, bias = (normal(i, *s).astype(np.float32) for i, s in enumerate([(2, 4, 6, 6), (4, 2, 3, 3), (4,)]))
    output = convolve(x, weight, bias, padding=1, groups=2)
    assert output.dtype == np.float32
    assert all(g.dtype == np.float32 for g in convolve_backward(output, x, weight, padding=1, groups=2))
    assert transposed_convolve(x, weight, groups=2).dtype == np.float32
    assert pooling.max_pool(x, 2).dtype == pooling.average_pool(x, 2).dtype == np.float32
    assert all(f(x).dtype == np.float32 for f, _, _ in ACTIVATIONS)
    assert normalization.batch_norm(x, bias, bias).dtype == np.float32
    assert normalization.local_response_norm(x, 3).dtype == np.float32
    assert loss.softmax_cross_entropy_backward(output[:, :, 0, 0], np.array([0, 1])).dtype == np.float32
