"""What capture records: operations, modules, values, parameters."""

import torch
from torch import nn

from convscope.capture.capture import capture


class TwoBranches(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.side = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        y = torch.relu_(self.norm(self.conv(x)))
        y = torch.cat([y, self.side(x)], dim=1)
        return self.head(y.mean((2, 3)))


def test_every_operation_is_recorded_with_its_module():
    graph = capture(TwoBranches(), (3, 16, 16))
    assert [(n.op, n.module) for n in graph.nodes] == [
        ("convolution", "conv"),
        ("batch_norm", "norm"),
        ("relu", ""),
        ("convolution", "side"),
        ("concat", ""),
        ("mean", ""),
        ("transpose", "head"),
        ("linear", "head"),
    ]
    assert graph.error is None
    assert [graph.shape(v) for v in graph.outputs] == [(1, 5)]


def test_arguments_are_complete_and_plain():
    graph = capture(nn.Conv2d(3, 4, 3, stride=2), (3, 9, 9))
    (node,) = graph.nodes
    assert set(node.arguments) == {
        "input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups",
    }  # fmt: skip
    assert node.arguments["stride"] == (2, 2)
    assert graph.values[node.inputs[1]].name == "weight"


def test_a_factory_allocates_no_weight():
    graph = capture(lambda: nn.Linear(100_000, 10_000), (100_000,))
    assert graph.parameter_count == 1_000_010_000
