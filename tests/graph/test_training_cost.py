"""A training step's multiply-adds, against torch's own count of the operations that it runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.capture.capture import capture
from convscope.graph.figures import training_macs
from convscope.nets.build import build
from convscope.nets.layer_groups import freeze

# None with channel groups: torch counts their weights' gradients as if there were one.
NETWORKS = {
    "lenet5": (1, 32, 32),
    "alexnet-mini": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "googlenet": (3, 32, 32),
}


def _network(name: str) -> nn.Module:
    return build(name, num_classes=10, in_channels=NETWORKS[name][0], image_size=32, options={})


@pytest.mark.parametrize("frozen", ["", "backbone"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_costs_what_torch_runs(name: str, frozen: str) -> None:
    network = _network(name)
    freeze(network, frozen)
    counted = training_macs(capture(network, NETWORKS[name], batch_size=2, mode="train"))
    with FlopCounterMode(display=False) as torchs:
        answer = network(torch.zeros(2, *NETWORKS[name]))
        (answer[0] if isinstance(answer, tuple) else answer).sum().backward()
    assert counted.uncounted == 0
    assert counted.flops * 2 == torchs.get_total_flops()


def test_the_first_layer_needs_no_gradient_of_its_input() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 4, 3, bias=False))
    first, second = 3 * 8 * 9 * 14**2, 8 * 4 * 9 * 12**2
    cost = training_macs(capture(layers, (3, 16, 16), batch_size=2, mode="train"))
    assert (cost.forward, cost.inputs, cost.weights) == (first + second, second, first + second)
    assert cost.total == 3 * cost.forward - first
    layers[0].requires_grad_(False)
    cost = training_macs(capture(layers, (3, 16, 16), batch_size=2, mode="train"))
    assert (cost.inputs, cost.weights) == (0, second)


def test_groups_divide_every_gradient() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 8, 3, groups=8, bias=False))
    first, second = 3 * 8 * 16**2, 8 * 9 * 14**2
    cost = training_macs(capture(layers, (3, 16, 16), batch_size=2, mode="train"))
    assert (cost.forward, cost.inputs, cost.weights) == (first + second, second, first + second)


class Squared(nn.Module):
    """Both factors of a product are one value, and what is added to another product has axes of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.added = nn.Linear(6, 6, bias=False), nn.Parameter(torch.zeros(2, 6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return torch.baddbmm(self.added, torch.bmm(x, x), x)


def test_a_value_times_itself_has_two_gradients_and_what_is_added_none() -> None:
    network = Squared()
    cost = training_macs(capture(network, (2, 6, 6), batch_size=None, mode="train"))
    with FlopCounterMode(display=False) as torchs:
        network(torch.zeros(2, 6, 6)).sum().backward()
    assert cost.flops * 2 == torchs.get_total_flops()
