"""A trained network's maps under random weights: guided backpropagation fails the check, gradient and Grad-CAM pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from convscope.data.sources.digits import load_digits
from convscope.interpret.attribution.checks.randomized_weights import MapFunction, randomized_weights
from convscope.interpret.attribution.methods import find_method
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.subject import Subject

METHODS = ("grad-cam", "gradient", "guided-backprop", "gradient-times-input")
TRAINED, EXPLAINED = 1500, 12


def map_of(method: str) -> MapFunction:
    """A method's map on its own cells."""
    return lambda subject, target: find_method(method).explain(subject, target, AttributionOptions()).cells


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The built-in digits, twice as large, (1797, 1, 16, 16), and their labels."""
    images, labels = load_digits()
    pixels = torch.from_numpy(images[..., 0]).float()[:, None] / 255
    pixels = functional.interpolate(pixels, scale_factor=2, mode="bilinear", align_corners=False)
    return (pixels - pixels.mean()) / pixels.std(), torch.from_numpy(labels)


@pytest.fixture(scope="module")
def network(digits: tuple[torch.Tensor, torch.Tensor]) -> nn.Sequential:
    """Four convolutions and a linear layer, trained for eight epochs."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after, stride in ((1, 12, 1), (12, 24, 2), (24, 24, 1), (24, 32, 1)):
        layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.ReLU(inplace=True)]
    made = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    images, labels = digits
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=8 * TRAINED // 60)
    for _ in range(8):
        for rows in torch.randperm(TRAINED).split(60):
            optimizer.zero_grad()
            functional.cross_entropy(made(images[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    made.requires_grad_(False)
    return made.eval()


def test_guided_backprop_fails_and_gradient_and_grad_cam_pass(
    digits: tuple[torch.Tensor, torch.Tensor], network: nn.Sequential
) -> None:
    images, labels = digits[0][TRAINED:], digits[1][TRAINED:]
    predicted = network(images).argmax(1)
    assert (predicted == labels).float().mean() > 0.8, "the network has learned"
    right = torch.nonzero(predicted == labels).flatten()[:EXPLAINED].tolist()
    half: dict[str, list[float]] = {method: [] for method in METHODS}
    every: dict[str, list[float]] = {method: [] for method in METHODS}
    failed = dict.fromkeys(METHODS, 0)
    for row in right:
        subject = Subject(network=network, name="digits", image_name="a digit", tensor=images[row : row + 1])
        maps = {method: map_of(method) for method in METHODS}
        for method, found in randomized_weights(subject, maps, int(labels[row]), stages=3, seed=row).items():
            half[method].append(found.half_random or 0.0)
            every[method].append(found.all_random or 0.0)
            failed[method] += found.fails
    assert np.mean(half["guided-backprop"]) > 0.5 and failed["guided-backprop"] > 0.7 * len(right)
    for method in ("gradient", "grad-cam"):
        assert np.mean(half[method]) < 0.4 and np.mean(every[method]) < 0.3
        assert failed[method] < 0.3 * len(right)
    # The input stays a factor of the product under any weights, so that its map is the least unlike the trained one's.
    assert np.mean(every["gradient-times-input"]) > np.mean(every["gradient"])
