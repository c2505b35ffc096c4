"""Every name of a layer that one command prints is accepted by every other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from convscope.capture.load import load
from convscope.errors import CaptureError
from convscope.graph.layer_names import LayerNames
from convscope.interpret.audit import audit
from convscope.interpret.explanation.explain import lens
from convscope.interpret.inspection.record import Inspection, inspect
from convscope.interpret.receptive_field import field

NETWORKS = ("alexnet", "convnext_tiny", "densenet121", "googlenet", "m5", "mobilenet_v3_small", "resnet18")


def printed(inspection: Inspection) -> set[str]:
    """The names of `inspect --json`; parameters that no operation reads are in no layer."""
    form = inspection.to_dict()
    warnings = [w["layer"] for w in form["warnings"] if w["kind"] != "unused-parameters"]
    return {layer["name"] for part in ("layers", "uncounted") for layer in form[part]} - {""} | {*warnings}


@pytest.mark.parametrize("network", NETWORKS)
def test_names_of_inspect_are_accepted_and_are_their_own(network: str) -> None:
    loaded = load(network)
    inspection = inspect(loaded.build, loaded.input_shape)
    names = LayerNames(inspection.graph)
    assert printed(inspection) == {layer.name for layer in inspection.layers}
    for layer in inspection.layers:
        assert names.find(layer.name) == layer.output and names.of_value(layer.output) == layer.name
    assert inspection.layer(inspection.layers[-1].name) is inspection.layers[-1]
    of_nodes = [names.of_node(node) for node in names.nodes]
    assert len(set(of_nodes)) == len(of_nodes)
    for node in names.nodes:
        layer = names.layer_of(node)
        assert names.find(names.of_node(node)) in (node.outputs if layer is None else (*node.outputs, layer.output))
        assert names.find_layer(names.of_layer(node)) is layer or layer is None


class Small(nn.Module):
    """A shared convolution, a sum, a reshape, a pooling that has an operation beside its own, and weights that move."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3, padding=1)
        self.pool = nn.MaxPool1d(2)
        self.norm = nn.LocalResponseNorm(2)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.pool(self.conv(x) + self.conv(torch.relu(x))))
        return self.linear(y.flatten(1)) @ self.linear.weight.t()[:3]


def test_names_of_every_command_are_accepted_by_every_other() -> None:
    model = Small().eval()
    inspection = inspect(model, (2, 8))
    explained = lens(model, np.ones((2, 8), np.float32))
    names = {layer.name for layer in inspection.layers}
    assert {"conv#2", "add", "pool", "norm"} <= names
    names |= {one.layer for one in audit(model, input_shape=(2, 8)).layers}
    names |= {explained.names.of_node(node) for node in explained.names.nodes}
    assert "pool:max_pool" in names
    for name in sorted(names | {"conv#1"}):
        value = LayerNames(inspection.graph).find(name)
        assert explained.names.find(name) == value
        assert field(inspection, name).shape == inspection.graph.shape(value)
        assert field(inspection, name, source="input").source_shape == (1, 2, 8)
        assert inspection.layer(name).name in names
        shape = explained.graph.shape(value)
        found = explained.cell(name, at=(0,) * (len(shape) - 2))
        assert LayerNames(inspection.graph).find(found.layer) == value
        assert all(one.label in names | {"input"} for one in found.contributors(None) if ":" in one.label)


def test_a_name_that_is_none_gets_the_nearest_from_every_command() -> None:
    inspection = inspect(Small(), (2, 8))
    for ask in (inspection.layer, lambda name: field(inspection, name), LayerNames(inspection.graph).find):
        with pytest.raises(CaptureError, match=r"Small has no layer 'pol'. Did you mean pool\?"):
            ask("pol")
