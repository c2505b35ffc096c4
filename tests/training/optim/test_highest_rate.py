"""The highest rate that an optimizer is given: what is beyond it diverges, and is no error of torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convscope.nets.layer_groups import rate_factors
from convscope.training.optim.optimizers import HIGHEST_RATE, OPTIMIZERS, make_optimizer, set_rate


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_of_any_size_makes_a_step(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    optimizer = make_optimizer(
        name, network, learning_rate=1.0, momentum=0.9, weight_decay=HIGHEST_RATE, layer_lr_decay=100.0
    )
    set_rate(optimizer, lambda until: 1e300)
    assert {group["lr"] for group in optimizer.param_groups} == {HIGHEST_RATE}
    network(torch.randn(3, 1, 3, 3)).sum().backward()
    optimizer.step()
    assert not all(weight.isfinite().all() and weight.abs().max() < 1e9 for weight in network.parameters())


def test_a_factor_of_many_layer_groups_is_a_number() -> None:
    network = nn.Sequential(*(nn.Linear(1, 1) for _ in range(200)))
    assert rate_factors(network, 100.0)["0.weight"] > 1e200 and rate_factors(network, 0.5)["0.weight"] == 0.5**199
