"""Layers and the folded tree: everything once, nothing lost."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from catalogue_facts import inspected
from convscope.interpret.inspection.record import Inspection, inspect
from convscope.nets import catalogue

SAMPLE = (
    "lenet5",
    "lenet5-1998",
    "alexnet-2012",
    "googlenet",
    "resnet50",
    "mobilenet_v3_small",
    "unet",
    "densenet121",
    "m5",
)


@pytest.fixture(scope="module")
def inspections() -> dict[str, Inspection]:
    return {name: inspected(name) for name in SAMPLE}


@pytest.mark.parametrize("name", SAMPLE)
def test_the_layers_add_up_to_the_network(name: str, inspections: dict[str, Inspection]):
    inspection = inspections[name]
    assert (
        sum(layer.parameters for layer in inspection.layers) == inspection.parameters == catalogue.find(name).parameters
    )
    assert sum(layer.macs or 0 for layer in inspection.layers) == inspection.macs
    assert sum(layer.buffers for layer in inspection.layers) <= inspection.graph.buffer_count
    assert len({layer.name for layer in inspection.layers}) == len(inspection.layers)


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize("depth", [None, 1, 2, 3])
def test_every_layer_stands_on_one_line(name: str, depth: int | None, inspections: dict[str, Inspection]):
    inspection = inspections[name]
    lines = [line for line in inspection.lines(depth) if line.role != "heading"]
    assert [layer.index for line in lines for layer in line.layers] == list(range(len(inspection.layers)))
    assert sum(line.parameters for line in lines) == inspection.parameters


def test_repeated_blocks_are_one_line(inspections: dict[str, Inspection]):
    [line] = [line for line in inspections["resnet50"].lines() if line.name == "layer3.2"]
    assert (line.role, line.until, line.like, line.count) == ("folded", "layer3.5", "layer3.1", 4)
    assert line.last.field_along(0)[0].size == 267


def test_a_chain_of_equal_layers_folds():
    inspection = inspect(nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1) for _ in range(1000)]), (4, 16, 16))
    assert [(line.role, line.count) for line in inspection.lines()] == [("layer", 1), ("folded", 999)]


def test_functional_operations_have_rows_of_their_own():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(8, 3, 3, 3))
            self.inner = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = F.relu(F.conv2d(x, self.weight, padding=1))
            return F.relu(self.inner(y) + y)

    layers = inspect(Net(), (3, 8, 8)).layers
    assert [layer.name for layer in layers] == ["convolution", "relu", "inner.0", "inner.1", "add", "relu#2"]
    assert layers[0].parameters == 216 and layers[0].macs == 216 * 64


def test_a_reused_module_has_a_row_per_call_and_its_parameters_once():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.conv(x))

    first, second = inspect(Twice(), (4, 8, 8)).layers
    assert (first.name, first.parameters, first.shares) == ("conv", 148, False)
    assert (second.name, second.parameters, second.shares) == ("conv#2", 0, True)
    assert first.macs == second.macs == 144 * 64


def test_what_prepares_a_weight_belongs_to_the_layer_that_uses_it():
    inspection = inspect(nn.Sequential(weight_norm(nn.Conv2d(4, 4, 3)), nn.ReLU()), (4, 8, 8))
    assert [layer.name for layer in inspection.layers] == ["0", "1"]
    assert inspection.layers[0].parameters == inspection.parameters == 144 + 4 + 4


def test_in_place_results_and_views_take_no_memory():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.ReLU())
    assert [layer.activation_bytes for layer in inspect(model, (4, 8, 8)).layers] == [1024, 0, 0, 1024]


def test_local_response_normalisation_is_one_layer():
    layers = inspect(nn.Sequential(nn.Conv2d(3, 8, 3), nn.LocalResponseNorm(5)), (3, 8, 8)).layers
    assert [layer.op for layer in layers] == ["convolution", "local_response_norm"]
