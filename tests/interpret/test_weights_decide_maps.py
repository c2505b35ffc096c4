"""Trained networks' maps under random weights: guided backpropagation fails the check, gradient and Grad-CAM pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from convscope.data.sources.digits import load_digits
from convscope.interpret.attribution.checks.check import maps_by
from convscope.interpret.attribution.checks.randomized_weights import (
    SIMILAR,
    WeightRandomization,
    randomized_weights,
)
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.subject import Subject

METHODS = ("grad-cam", "gradient", "guided-backprop", "gradient-times-input")
TRAINED, EXPLAINED = 1500, 12
Found = Mapping[str, list[WeightRandomization]]


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The built-in digits, twice as large, (1797, 1, 16, 16), and their labels."""
    images, labels = load_digits()
    pixels = torch.from_numpy(images[..., 0]).float()[:, None] / 255
    pixels = functional.interpolate(pixels, scale_factor=2, mode="bilinear", align_corners=False)
    return (pixels - pixels.mean()) / pixels.std(), torch.from_numpy(labels)


def trained(seed: int, *, norm: bool, pooled: bool) -> nn.Sequential:
    """Four convolutions and a linear layer, trained for eight epochs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after, smaller in ((1, 12, False), (12, 24, True), (24, 24, False), (24, 32, True)):
            stride = 2 if smaller and not pooled else 1
            layers.append(nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(after)] * norm
            layers += [nn.ReLU(inplace=True), *[nn.MaxPool2d(2)] * (smaller and pooled)]
        made = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
        images, labels = digits()
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


def checked(network: nn.Sequential, *, stages: int) -> Found:
    """Each method's maps of test images that are classified rightly, as the weights become random."""
    images, labels = digits()[0][TRAINED:], digits()[1][TRAINED:]
    predicted = network(images).argmax(1)
    assert (predicted == labels).float().mean() > 0.8, "the network has learned"
    found: dict[str, list[WeightRandomization]] = {method: [] for method in METHODS}
    methods = {method: partial(maps_by, method, AttributionOptions()) for method in METHODS}
    for row in torch.nonzero(predicted == labels).flatten()[:EXPLAINED].tolist():
        subject = Subject(network=network, name="digits", image_name="a digit", tensor=images[row : row + 1])
        for method, of_map in randomized_weights(subject, methods, int(labels[row]), stages=stages, seed=row).items():
            found[method].append(of_map)
    return found


def hold(found: Found) -> None:
    """Hold what the networks have in common."""
    upper = {method: np.mean([one.upper_random or 0.0 for one in found[method]]) for method in METHODS}
    every = {method: np.mean([one.all_random or 0.0 for one in found[method]]) for method in METHODS}
    failed = {method: np.mean([one.fails for one in found[method]]) for method in METHODS}
    assert failed["guided-backprop"] > 0.9 and upper["guided-backprop"] > SIMILAR + 0.05
    for method in ("gradient", "grad-cam"):
        assert failed[method] < 0.2 and upper[method] < SIMILAR - 0.1 and every[method] < SIMILAR - 0.1
    # The input stays a factor of the product under any weights, so that its map is the least unlike the trained one's.
    assert every["gradient-times-input"] > every["gradient"]


def test_guided_backprop_fails_and_gradient_and_grad_cam_pass() -> None:
    hold(checked(trained(0, norm=False, pooled=False), stages=5))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("pooled", [False, True])
def test_it_does_whatever_the_seed_and_the_layers(seed: int, norm: bool, pooled: bool) -> None:
    hold(checked(trained(seed, norm=norm, pooled=pooled), stages=8))
