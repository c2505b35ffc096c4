"""Rows and totals: each operation and each parameter is in one row, and a leaf module's call is one row."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from convscope.interpret.inspection.record import Inspection, inspect


def add_up(inspection: Inspection) -> bool:
    """Return whether the rows' multiply-adds and parameters are the network's."""
    macs = sum(layer.macs or 0 for layer in inspection.layers)
    parameters = sum(layer.parameters for layer in inspection.layers)
    return (macs, parameters) == (inspection.graph.macs, inspection.parameters)


class ConvAndHead(nn.Module):
    """A convolution and a fully connected layer, whose weights are computed by `through`."""

    def __init__(self, through):
        super().__init__()
        self.conv, self.head = through(nn.Conv2d(3, 8, 3)), through(nn.Linear(8, 4))

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


class StandardizedConv(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias)


class PositionBias(nn.Module):
    """Swin v2's: a small network on constant coordinates, and a product of a table that no module of its own has."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(4, 8))
        self.mlp = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 8))
        self.register_buffer("coordinates", torch.zeros(9, 2))
        self.query = nn.Linear(8, 8)

    def forward(self, x):
        return self.query(x) + self.mlp(self.coordinates) + (self.table.T @ self.table)[:1]


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x):
        return self.mix(self.conv(x).permute(0, 2, 3, 1))


class Gate(nn.Module):
    """A leaf module of two computing operations, of which one has multiply-adds."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8, 8))

    def forward(self, x):
        return torch.sigmoid(functional.linear(x, self.weight)) * x


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class TrainedAside(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.aside, self.scale = nn.Linear(8, 8), nn.Linear(8, 2), nn.Parameter(torch.ones(3))

    def forward(self, x):
        return (self.body(x), self.aside(x)) if self.training else self.body(x)


def weight_norm_of_old(module):
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(module)


NETWORKS = {
    "spectral": (lambda: ConvAndHead(parametrizations.spectral_norm), (3, 16, 16), ["conv", "mean", "head"]),
    "spectral, by hook": (lambda: ConvAndHead(nn.utils.spectral_norm), (3, 16, 16), ["conv", "mean", "head"]),
    "weight norm": (lambda: ConvAndHead(parametrizations.weight_norm), (3, 16, 16), ["conv", "mean", "head"]),
    "weight norm, by hook": (lambda: ConvAndHead(weight_norm_of_old), (3, 16, 16), ["conv", "mean", "head"]),
    "orthogonal": (lambda: ConvAndHead(parametrizations.orthogonal), (3, 16, 16), ["conv", "mean", "head"]),
    "standardized": (lambda: nn.Sequential(StandardizedConv(3, 8, 3), nn.ReLU()), (3, 16, 16), ["0", "1"]),
    "position bias": (PositionBias, (9, 8), ["query", "mlp.0", "mlp.2", "add", "add#2"]),
    "not contiguous": (ChannelsLast, (3, 16, 16), ["conv", "permute", "mix"]),
    "leaf modules": (lambda: nn.Sequential(nn.Linear(8, 8), Gate(), Swish()), (8,), ["0", "1", "2"]),
    "unused": (TrainedAside, (8,), ["body", "scale", "aside"]),
    "circular": (lambda: nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"), (3, 9, 9), ["convolution"]),
    "recurrent": (lambda: nn.LSTM(8, 16, batch_first=True), (100, 8), ["lstm"]),
    "both ways": (lambda: nn.Sequential(nn.GRU(8, 16, bidirectional=True)), (20, 8), ["0"]),
    "a linear of sequences": (lambda: nn.Linear(8, 4), (5, 8), ["linear"]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_rows_add_up_to_the_totals(name):
    factory, shape, names = NETWORKS[name]
    for mode in ("eval", "train"):
        inspection = inspect(factory(), shape, mode=mode, batch_size=2)
        assert inspection.error is None
        assert add_up(inspection)
    evaluated = inspect(factory(), shape)
    # What can't be counted has a row of its own, beside the layer whose weight it makes.
    assert [layer.name for layer in evaluated.layers if layer.macs is not None] == names


def test_work_on_weights_is_its_layers():
    plain = inspect(ConvAndHead(lambda module: module), (3, 16, 16)).layer("conv")
    spectral = inspect(ConvAndHead(parametrizations.spectral_norm), (3, 16, 16)).layer("conv")
    assert spectral.macs == plain.macs + 8 * 27 + 8  # u'·(W·v)
    assert (spectral.kind, spectral.op, spectral.windows) == ("Conv2d", "convolution", plain.windows)


def test_a_leaf_module_is_named_after_its_work():
    gate, swish = inspect(nn.Sequential(Gate(), Swish()), (8,)).layers
    assert (gate.op, gate.kind, swish.op) == ("linear", "Gate", "Swish")
    dropped = inspect(nn.Sequential(nn.Linear(8, 8), nn.Dropout()), (8,), mode="train").layers[1]
    assert (dropped.op, dropped.kind) == ("dropout", "Dropout")


def test_a_recurrent_layer_is_its_output_and_its_steps_are_counted_together():
    (lstm,) = inspect(nn.LSTM(8, 16, batch_first=True), (100, 8)).layers
    assert lstm.output_shape == (1, 100, 16)
    assert lstm.formula == "100 × (1 · 16 · 64) + 100 × (1 · 8 · 64)"


def test_unused_parameters_have_a_row_without_an_output():
    inspection = inspect(TrainedAside(), (8,))
    aside = inspection.layers[2]
    assert (aside.op, aside.output, aside.parameters, aside.macs) == ("unused", None, 18, 0)
    assert [row.cells[2] for row in inspection.table().rows] == ["8", "–", "–"]
