"""Fine-tuning: what is frozen stays as it is, and earlier parts learn more slowly."""

from __future__ import annotations

import pytest
import torch

from convscope.errors import CaptureError
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.layer_groups import freeze, parts, parts_with, rate_factors, train_mode


def test_a_frozen_backbone_keeps_its_weights_and_its_averages():
    network = build("resnet18", num_classes=3, image_size=32)
    freeze(network, "backbone")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    train_mode(network)
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"fc.weight", "fc.bias"}


def test_what_is_not_frozen_is_in_training_mode():
    network = build("vgg11_bn", num_classes=3)
    freeze(network, "features.0, features.1")
    train_mode(network)
    assert not network.features[1].training and network.features[5].training and network.classifier[2].training


@pytest.mark.parametrize(
    ("what", "message"),
    [("layer9", "Did you mean layer"), ("conv1,bn1,layer1,layer2,layer3,layer4,fc", "nothing would be left")],
)
def test_an_unknown_part_and_a_wholly_frozen_network_are_refused(what, message):
    with pytest.raises(CaptureError, match=message):
        freeze(build("resnet18", num_classes=3), what)


class WithToken(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = torch.nn.Parameter(torch.zeros(1, 1, 4))
        self.weights = torch.nn.Parameter(torch.ones(3, 4))
        self.embed, self.block, self.head = (torch.nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.block(self.embed(x) + self.token)) @ self.weights.T
        return scores


def test_a_class_token_goes_with_the_parts_before_the_last():
    network = WithToken()
    factors = rate_factors(network, 0.5)
    assert factors["token"] == factors["embed.weight"] == 0.25 and factors["weights"] == 1
    stored = network.state_dict().keys()
    assert parts_with(network, ("embed", "block"), stored) == ("embed", "block")
    assert parts_with(network, ("embed", "block"), stored - {"token"}) == ("block",)
    assert parts_with(network, ("embed",), stored - {"token"}) == ("embed",)
    freeze(network, "embed")
    assert network.token.requires_grad
    freeze(network, "backbone")
    left = [name for name, one in network.named_parameters() if one.requires_grad]
    assert left == ["weights", "head.weight", "head.bias"]


@pytest.mark.parametrize("name", catalogue.names())
def test_every_network_has_parts_and_its_last_part_learns_fastest(name):
    with torch.device("meta"):
        network = build(name)
    factors = rate_factors(network, 0.5)
    assert set(factors) == {name for name, _ in network.named_parameters()}
    assert len(parts(network)) >= 3 and len(set(factors.values())) >= 3
    names = [f"{part}.{name}" for part, module in parts(network).items() for name, _ in module.named_parameters()]
    in_order = [factors[name] for name in names]
    assert in_order == sorted(in_order) and in_order[-1] == 1.0
    assert sorted(names) == sorted(factors)
