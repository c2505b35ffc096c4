"""The head of a network is found by what it computes, and refused where its scores are no linear function."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convscope.errors import RunError
from convscope.nets.build import build
from convscope.scoring.linear_fit import LinearFit
from convscope.training.probe.linear_head import find_head


class Scaled(nn.Module):
    """A network that multiplies what its last layer puts out."""

    def __init__(self, after: nn.Module, factor: float = 1.0) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.BatchNorm2d(6))
        self.after, self.factor = after, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.after(self.body(x))
        return self.factor * (found.mean((2, 3)) if found.ndim == 4 else found)


def pooled(*after: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *after)


NETWORKS = {
    "linear": lambda: Scaled(pooled(nn.Linear(6, 3))),
    "scaled, no bias": lambda: Scaled(pooled(nn.Dropout(), nn.Linear(6, 3, bias=False)), 1 / 9),
    "1x1 convolution, averaged": lambda: Scaled(nn.Sequential(nn.Dropout2d(), nn.Conv2d(6, 3, 1)), 2.0),
    "two layers": lambda: Scaled(pooled(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_linear_in_the_features(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = torch.rand(5, 1, 9, 9)
    head = find_head(network, images, classes=3)
    assert network.training and all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    network.eval()
    with torch.inference_mode():
        features = head.features(network, network, images)
        torch.testing.assert_close(head.scores(features), network(images))
        width = features.shape[1]
        fit = LinearFit(weight=torch.randn(3, width).double(), bias=torch.randn(3).double(), loss=0.0, steps=0)
        head.set(fit)
        bias = 0 if head.layer.bias is None else fit.bias
        torch.testing.assert_close(network(images), (features.double() @ fit.weight.T + bias).float())
    changed = {key for key, value in network.state_dict().items() if not torch.equal(before[key], value)}
    assert changed == head.own_weights


@pytest.mark.parametrize("name", ["lenet5", "cifarnet", "alexnet-mini", "resnet20", "mobilenet_v2"])
def test_networks_of_the_catalogue_have_one(name: str) -> None:
    network = build(name, num_classes=7)
    channels = next(network.parameters()).shape[1] if name != "cifarnet" else 3
    head = find_head(network, torch.randn(2, channels, 32, 32), classes=7)
    assert head.classes == 7 and head.scale == 1.0


def shared() -> nn.Module:
    class Tied(Scaled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.body(x).mean((2, 3))
            return self.after(x + self.after(x).mean())

    return Tied(nn.Linear(6, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: Scaled(nn.Sequential(nn.Conv2d(6, 3, 1), nn.ReLU())), "changes what its last layer, after.0, puts"),
        (
            lambda: Scaled(nn.Conv2d(6, 3, 3)),
            "needs a last layer, fully connected or a 1x1 convolution, with 3 outputs",
        ),
        (shared, "needs a last layer"),
        (lambda: Scaled(pooled(nn.Linear(6, 3), nn.Tanh())), "no linear function of features: take head train"),
    ],
)
def test_others_are_refused_in_a_line(network, message: str) -> None:
    with pytest.raises(RunError, match=message):
        find_head(network(), torch.rand(3, 1, 9, 9), classes=3)
