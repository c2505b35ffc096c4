"""A tiny network and an image, as every picture of features takes them."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.interpret.subject import Subject


class Branches(nn.Module):
    """Convolutions, a rectifier used twice and in place, a sum of branches, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.narrow = nn.Conv2d(6, 10, 1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = self.relu(self.second(x) + x)
        return self.head(self.narrow(x).mean((2, 3)))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    network = Branches().eval()
    network.norm.running_mean.uniform_(-0.1, 0.1)
    return network


@pytest.fixture
def image(network: nn.Module) -> Subject:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div(255).sub(0.5)
    return Subject(network=network, name="branches", image_name="noise.png", tensor=tensor, pixels=pixels)
