"""An exported network, read back: the same shapes, MACs and numbers; parameters but for what was folded."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.capture.load import load
from convscope.graph.records import Graph
from convscope.nets.build import build
from convscope.nets.onnx.model import read_model
from onnx_files import costs, exported, folded, trained

pytest.importorskip("onnx")


def require_equal(network: nn.Module, shape: tuple[int, ...], path: Path) -> Graph:
    found = load(path)
    assert found.input_shape == shape
    ours, theirs = capture(found.module, shape), capture(network, shape)
    assert ours.error is None and not ours.uncounted
    assert costs(ours) == costs(theirs)
    assert ours.macs == theirs.macs
    assert [ours.shape(value) for value in ours.outputs] == [theirs.shape(value) for value in theirs.outputs]
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(found.module(x), network(x), rtol=1e-4, atol=1e-5)
    gone, note = folded(theirs, ours), next((note for note in ours.notes if "folded" in note), None)
    assert theirs.parameter_count - ours.parameter_count == gone
    assert (note is None) == (gone == 0)
    if note is not None:
        assert gone in [int(number.replace(",", "")) for number in re.findall(r"([\d,]+)(?: fewer| where)", note)]
    return ours


@pytest.mark.parametrize(("name", "side"), [("nin", 32), ("mobilenet_v3_small", 32), ("googlenet", 32)])
def test_network_of_the_older_exporter(name: str, side: int, tmp_path: Path) -> None:
    network = trained(build(name, image_size=(side, side)))
    require_equal(network, (3, side, side), exported(network, (3, side, side), tmp_path / "model.onnx"))


def test_new_exporter_names_the_modules(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    body = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    network = trained(nn.Sequential(OrderedDict(body=body, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
                                                fc=nn.Linear(4, 2))))  # fmt: skip
    graph = require_equal(network, (3, 8, 8), exported(network, (3, 8, 8), tmp_path / "model.onnx", dynamo=True))
    convolutions = [node.module for node in graph.nodes if node.op == "convolution"]
    assert convolutions == [n.module for n in capture(network, (3, 8, 8)).nodes if n.op == "convolution"]
    assert {"fc.weight", "fc.bias"} <= {name for record in graph.parameters for name in record.names}


def test_layers_that_are_not_of_images_alone(tmp_path: Path) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(6, 5, bidirectional=True)
            self.gru = nn.GRU(10, 4)
            self.norm = nn.LayerNorm(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden, _ = self.lstm(x.permute(2, 0, 1))
            hidden, _ = self.gru(hidden)
            result: torch.Tensor = self.norm(hidden).softmax(-1)
            return result

    network = Recurrent().eval()
    found = load(exported(network, (6, 7), tmp_path / "model.onnx")).module
    x = torch.rand(1, 6, 7)
    torch.testing.assert_close(found(x), network(x), rtol=1e-4, atol=1e-6)
    ours, theirs = capture(found, (6, 7)), capture(network, (6, 7))
    assert (ours.macs, ours.parameter_count) == (theirs.macs, theirs.parameter_count)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_open_sizes_need_an_input_and_the_batch_is_free(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    axes = {"x": {0: "batch", 2: "height", 3: "width"}}
    torch.onnx.export(network, (torch.zeros(1, 3, 9, 9),), tmp_path / "open.onnx", dynamo=False, dynamic_axes=axes,
                      input_names=["x"])  # fmt: skip
    found = read_model(tmp_path / "open.onnx")
    assert found.inputs[0].sizes == (3, "height", "width")
    for batch_size, side in ((1, 9), (3, 21)):
        graph = capture(found.network, (3, side, side), batch_size=batch_size)
        assert graph.error is None and graph.shape(graph.outputs[0]) == (batch_size, 2)
        assert graph.macs == capture(network, (3, side, side), batch_size=batch_size).macs
