"""Which layer loses the digits."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from convscope.errors import CaptureError
from convscope.interpret.audit import MODES, Audit, LayerError, audit
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.explanation.explain import explain


class Cancels(nn.Module):
    """Two nearly equal large numbers are subtracted: the digits go there."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.last = nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last((x + 1e4) - 1e4)


def test_the_layer_that_cancels_loses_the_digits() -> None:
    torch.manual_seed(0)
    found = audit(Cancels(), input_shape=(3, 12, 12))
    by_name = {layer.layer: layer for layer in found.layers}
    assert list(by_name) == ["first", "add", "sub", "last"]
    # The sum of ten thousand keeps fewer digits after the point; the difference brings it to light.
    assert by_name["sub"].so_far["fp32"] > 100 * by_name["first"].so_far["fp32"]
    assert found.agreement < 1e-9


def test_bf16_has_about_two_digits_and_fp32_about_seven() -> None:
    found = audit("lenet5")
    for layer in found.layers:
        assert layer.numpy
        assert layer.own["fp32"] < 2e-6 and layer.own["fp32 channels-last"] < 2e-6
        assert 1e-4 < layer.own["bf16"] < 2e-2
    text = str(found)
    assert "NumPy and torch agree in float64" in text and "bf16: 2" in text
    assert set(json.loads(json.dumps(found.to_dict()))["worst"]) == {mode.name for mode in MODES}


def test_an_operation_that_numpy_does_not_know_is_marked() -> None:
    class RunningLogarithm(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.logcumsumexp(x, -1)

    found = audit(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Softsign(), RunningLogarithm()), input_shape=(1, 6, 6))
    assert any(not layer.numpy for layer in found.layers)
    assert "* NumPy does not know this operation" in str(found)


def test_what_cant_be_audited_is_named() -> None:
    with pytest.raises(CaptureError, match="give it, such as input_shape="):
        audit(nn.Conv2d(1, 1, 3))
    with pytest.raises(CaptureError, match="does not run on this input"):
        audit(nn.Conv2d(1, 1, 3), input_shape=(3, 8, 8))


def test_comparisons_have_no_digits_and_what_a_precision_lacks_is_named() -> None:
    class Compared(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x > 0, x * 2, x)

    assert all(layer.op != "gt" for layer in audit(Compared(), input_shape=(3, 8, 8)).layers)

    class Fourier(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft2(x).abs()

    with pytest.raises(CaptureError, match=r"\(fft\) does not run in bf16: "):
        audit(Fourier(), input_shape=(3, 8, 8))


def test_what_has_no_bf16_is_computed_in_fp32_and_rounded() -> None:
    found = audit(nn.LocalResponseNorm(3), input_shape=(5, 6, 6))
    assert found.notes == ("torch has no bf16 for avg pool on the CPU: computed in fp32 on bf16 numbers, and rounded",)
    assert all(layer.own["bf16"] > 1e-4 > layer.own["fp32"] for layer in found.layers if layer.op == "avg_pool")


@pytest.mark.parametrize("pool", [
    lambda x: nn.functional.max_pool2d(x, 2), lambda x: nn.functional.avg_pool2d(x, 2),
    lambda x: nn.functional.adaptive_avg_pool2d(x, (2, 3)), lambda x: nn.functional.adaptive_max_pool2d(x, (2, 3)),
    lambda x: nn.functional.pixel_shuffle(x, 2), lambda x: nn.functional.pixel_unshuffle(x, 2),
])  # fmt: skip
def test_one_sample_without_its_batch_is_computed_as_by_torch(pool) -> None:
    class First(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = pool(x[0]) * 1
            return y

    assert audit(First(), input_shape=(4, 6, 6)).agreement < 1e-12


def test_casts_make_the_numbers_that_torch_makes() -> None:
    class Casts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            counts = (x > 0).to(x.dtype) + (x > 0.5).to(x.dtype)
            return x * counts + (x * 10).long().to(x.dtype) + x.bool()

    assert audit(Casts(), input_shape=(2, 4, 4)).agreement < 1e-12
    found = explain(Casts(), torch.full((1, 2, 4, 4), 0.77), layer="cast#3", at=(0, 0))
    assert (found.value, found.torch_value) == (7.0, 7.0)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
def test_a_traced_convolution_is_computed_in_numpy() -> None:
    traced = torch.jit.trace(nn.Sequential(nn.Conv2d(2, 3, 3)).eval(), torch.ones(1, 2, 6, 6))
    assert all(layer.numpy for layer in audit(traced, input_shape=(2, 6, 6)).layers)


def test_an_average_by_a_divisor_of_its_own_is_torchs_where_windows_hang_over_the_edge() -> None:
    pooling = nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, divisor_override=5)
    assert audit(pooling, input_shape=(2, 6, 6)).agreement < 1e-12


def test_coordinates_made_in_the_forward_pass_have_each_modes_precision() -> None:
    class Coordinates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.where = nn.Conv2d(3, 4, 3), nn.Conv2d(1, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = torch.linspace(-1, 1, x.shape[2])[None, None, :, None].expand(1, 1, *x.shape[2:])
            columns = (torch.arange(x.shape[3]).float() / 7).expand(1, 1, *x.shape[2:])
            y: torch.Tensor = self.conv(torch.cat([x, rows, columns], 1)[:, :3]) + self.where(columns)[:, :, 1:-1, 1:-1]
            return y

    found = audit(Coordinates(), input_shape=(1, 8, 8))
    assert found.agreement < 1e-12
    assert found.layers[-1].so_far["fp32"] < 1e-6 < found.layers[-1].so_far["bf16"]


def test_types_that_a_forward_pass_names_are_those_of_the_audit() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x).softmax(1, dtype=torch.float32)
            y: torch.Tensor = self.last(x - x.sum(1, keepdim=True, dtype=torch.float32))
            return y

    assert audit(Named(), input_shape=(3, 8, 8)).agreement < 1e-12


def test_a_network_in_bf16_is_given_bf16() -> None:
    found = audit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(torch.bfloat16), input_shape=(3, 8, 8))
    assert found.layers[0].own["bf16"] > 1e-4 > found.layers[0].own["fp32"]


@pytest.mark.parametrize("op", ["index_add"])
def test_an_index_beyond_its_axis_is_named(op: str) -> None:
    class Graph(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            places = torch.tensor([1])
            return torch.zeros_like(x).index_add_(0, places, x * 2) if op == "index_add" else (x * 2)[places]

    with pytest.raises(CaptureError, match=f"{op} .* does not run in float64: index 1 is out of bounds"):
        audit(Graph(), input_shape=(4,))
    with pytest.raises(CaptureError, match=f"the model: {op} does not run on this input: index 1 is out of bounds"):
        explain(Graph(), torch.rand(1, 4), layer=op, channel=1)


@pytest.mark.parametrize("order", [0, 0.5, 1, 2, 3, float("inf"), -float("inf")])
def test_a_norm_of_any_order_is_torchs(order: float) -> None:
    class Norm(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            norms: torch.Tensor = torch.linalg.vector_norm(x, ord=order, dim=(1, 3), keepdim=True)
            return norms * 2

    assert audit(Norm(), input_shape=(3, 4, 5)).agreement < 1e-12


def test_a_layer_whose_error_is_no_number_is_the_worst() -> None:
    fine, broken = (LayerError("a", "relu", (1,), {"fp32": error}, {"fp32": error}, True) for error in (0.5, math.nan))
    assert Audit("net", (1,), (fine, broken), 0.0, ()).worst("fp32") is broken
    assert Audit("net", (1,), (broken, fine), 0.0, ()).worst("fp32") is broken


def test_a_conjugate_that_torch_has_not_computed_yet_has_its_numbers() -> None:
    assert as_array(torch.tensor([1 + 2j]).conj()).tolist() == [1 - 2j]
