"""Parameters of a file: what was trained, and no constant of arithmetic, by both of torch's exporters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from onnx_files import exported, made, trained

onnx = pytest.importorskip("onnx")


class Scaled(nn.Module):
    """Parameters that arithmetic reads, a buffer beside them, and a division by a constant in attention."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.rand(8)), nn.Parameter(torch.tensor(2.0))
        self.token = nn.Parameter(torch.rand(1, 1, 8))
        self.linear, self.attention = nn.Linear(8, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.register_buffer("mean", torch.rand(1, 1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x - self.mean], 1)
        x = x + self.scale * self.linear(x)
        mixed, _ = self.attention(x, x, x, need_weights=False)
        result: torch.Tensor = mixed * self.shift
        return result


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "norms": (nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True),
                            nn.LocalResponseNorm(4), nn.PReLU(8), nn.PReLU(), nn.Hardsigmoid()), (3, 9, 9)),
    "no weights": (nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8, affine=False), nn.InstanceNorm2d(8),
                                 nn.LayerNorm((7, 7), elementwise_affine=False), nn.BatchNorm2d(8, affine=False)),
                   (3, 9, 9)),
    "scaled": (Scaled(), (15, 8)),
}  # fmt: skip


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_that_were_trained(name: str, dynamo: bool, tmp_path: Path) -> None:
    if dynamo:
        pytest.importorskip("onnxscript")
    network, shape = NETWORKS[name]
    path = exported(trained(network), shape, tmp_path / "m.onnx", dynamo=dynamo)
    found, wanted = convscope.inspect(str(path)), convscope.inspect(network, shape)
    # The older exporter does not say which tensors are buffers.
    more = 8 if name == "scaled" and not dynamo else 0
    assert found.parameters == wanted.parameters + more
    assert found.macs == wanted.macs


def test_weights_are_parameters_through_moves(tmp_path: Path) -> None:
    """Gates that are put in another order, as an exporter that folds no constants writes an LSTM."""
    helper, array = onnx.helper.make_node, onnx.numpy_helper.from_array
    numbers = {"w": (12, 2), "r": (12, 3), "state": (1, 1, 3)}
    nodes = [helper("Constant", [], [name], value=array(np.ones(shape, np.float32))) for name, shape in numbers.items()]
    for name in ("w", "r"):
        nodes += [helper("Split", [name], [f"{name}{i}" for i in range(4)], num_outputs=4),
                  helper("Concat", [f"{name}{i}" for i in (0, 3, 1, 2)], [f"{name}_all"], axis=0),
                  helper("Unsqueeze", [f"{name}_all", "axis"], [f"{name}_1"])]  # fmt: skip
    nodes += [helper("Identity", ["state"], ["first"]),
              helper("LSTM", ["x", "w_1", "r_1", "", "", "first"], ["y"], hidden_size=3)]  # fmt: skip
    path = made(tmp_path / "m.onnx", nodes, {"x": (1, 1, 2)}, ["y"], {"axis": np.array([0])})
    found = convscope.inspect(str(path))
    assert (found.error, found.parameters, found.macs) == (None, 12 * 2 + 12 * 3, 12 * (2 + 3))


@pytest.mark.long
def test_integer_division_of_uneven_pooling_is_explained(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d((7, 5)), nn.Flatten(2), nn.Linear(35, 1)).eval()
    path = str(exported(network, (3, 16, 16), tmp_path / "m.onnx", dynamo=True))
    image = torch.rand(3, 16, 16)
    assert convscope.inspect(path).parameters == 260
    last = convscope.inspect(path).layers[-1].name
    found = convscope.explain(path, image, layer=last, channel=2)
    with torch.no_grad():
        assert found.value == pytest.approx(float(network(image[None])[0, 2, 0]), rel=1e-4)
    assert convscope.audit(path).agreement < 1e-12
