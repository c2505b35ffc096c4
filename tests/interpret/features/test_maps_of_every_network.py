"""Maps, filters, positions and top patches of the networks that other tools read wrongly: equal to the plain twin's."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.interpret.features.channels_at import channels_at
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.features.filters import filters
from convscope.interpret.features.observed import observed_layers
from convscope.interpret.features.top_patches import top_patches
from convscope.interpret.subject import Subject
from look_state import state_of


class Functional(nn.Module):
    """A rectifier that is a function and writes in place, after a convolution whose map is asked for."""

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv, self.activation, self.head = nn.Conv2d(3, 4, 3, padding=1), activation, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.activation(self.conv(x)).mean((2, 3)))


class Dense(nn.Module):
    """Concatenations, and a last activation that is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(7, 5, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, F.relu(self.first(x))], 1)
        x = torch.cat([x, self.second(x)], 1)
        return self.head(F.relu(self.norm(x), inplace=True).mean((2, 3)))


class Up(nn.Module):
    """A map of scores, by way of a smaller one."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.relu, self.conv = nn.ReLU(inplace=True), nn.Conv2d(7, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([x, self.relu(self.up(self.relu(self.down(x))))], 1))


def stacked(*layers: nn.Module, channels: int = 4, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def conv(inputs: int = 3, outputs: int = 4, **settings: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **settings)


def reused() -> nn.Sequential:
    relu = nn.ReLU(inplace=True)
    return stacked(conv(), relu, conv(4), relu)


def frozen() -> nn.Sequential:
    return stacked(conv(), nn.ReLU()).requires_grad_(False)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "in-place": lambda: stacked(conv(), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
    "functional": lambda: Functional(F.relu),
    "functional in-place": lambda: Functional(F.relu_),
    "reused": reused,
    "ReLU6": lambda: stacked(conv(), nn.ReLU6(inplace=True)),
    "SiLU": lambda: stacked(conv(), nn.SiLU(inplace=True)),
    "dense": Dense,
    "U-Net": Up,
    "grouped": lambda: stacked(conv(3, 4), conv(4, 4, groups=2), nn.GELU()),
    "training mode": lambda: stacked(conv(), nn.BatchNorm2d(4), nn.ReLU()).train(),
    "frozen": frozen,
    "one class": lambda: stacked(conv(), nn.ReLU(), classes=1),
    "5,000 classes": lambda: stacked(conv(), nn.ReLU(), classes=5_000),
    "sigmoid": lambda: nn.Sequential(stacked(conv(), nn.ReLU()), nn.Sigmoid()),
    "1x1 final map": lambda: stacked(nn.Conv2d(3, 4, 12)),
    "no convolution": lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.ReLU(), nn.Linear(5, 3)),
    "no activation": lambda: stacked(conv(), conv(4)),
    "compiled": lambda: torch.compile(stacked(conv(), nn.ReLU(inplace=True)), backend="eager"),
}


def image(network: nn.Module, dtype: torch.dtype = torch.float64) -> Subject:
    generator = torch.Generator().manual_seed(3)
    tensor = torch.randn(1, 3, 12, 12, generator=generator).to(dtype)
    return Subject(network=network, name="net", image_name="x", tensor=tensor)


def twins_values(network: nn.Module, tensor: torch.Tensor) -> dict[str, list[torch.Tensor]]:
    """Return what every leaf module of a copy gives, call by call, cloned before anything writes into it."""
    plain = deepcopy(getattr(network, "_orig_mod", network)).eval()
    found: dict[str, list[torch.Tensor]] = {}
    for name, module in plain.named_modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda _m, _i, out, name=name: found.setdefault(name, []).append(out.detach().clone())
            )
    with torch.no_grad():
        plain(tensor.clone())
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_equal_the_twins_and_the_model_is_left_as_it_was(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    if name != "training mode":
        network.eval()
    before = state_of(network)
    subject = image(network)
    for module, calls in twins_values(network, subject.tensor).items():
        for number, expected in enumerate(calls):
            layer = module if number == 0 else f"{module}#{number + 1}"
            found = feature_maps(subject, f"_orig_mod.{layer}" if name == "compiled" else layer)
            assert np.abs(found.maps.reshape(-1) - expected[0].double().numpy().reshape(-1)).max() <= 1e-6
    for one in observed_layers(subject.replay.names):
        channels_at(subject, one.name)
        for ranking in ("gradient", "contribution"):
            assert np.isfinite(feature_maps(subject, one.name, ranking=ranking).measures).all()
    assert filters(subject.replay).figure().document()
    assert state_of(network) == before


@pytest.mark.parametrize("name", ["in-place", "reused", "dense", "grouped"])
def test_top_patches_leave_the_model_as_it_was_and_equal_single_runs(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    before = state_of(network)
    subject = image(network, torch.float32)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), dtype=np.uint8)
    images = ImageSet(pixels, np.zeros(20, np.int64), list(map(str, range(20))))
    plain = Normalization.default(3)
    found = top_patches(subject.replays, images, plain, batch_size=8, kept=3)
    assert state_of(network) == before
    for one in found.maxima:
        for channel in range(one.layer.channels):
            row, place = int(one.rows[channel, 0]), tuple(one.places[channel, 0])
            tensor = torch.from_numpy(pixels[row]).permute(2, 0, 1)[None].float()
            scaled = tensor.sub(torch.tensor(plain.mean)[:, None, None] * 255).div(
                torch.tensor(plain.std)[:, None, None] * 255
            )
            maps = feature_maps(Subject(network=network, name="n", image_name="x", tensor=scaled), one.layer.name).maps
            assert maps[channel][place] == pytest.approx(one.values[channel, 0], abs=1e-4)
            assert maps[channel].max() == pytest.approx(one.values[channel, 0], abs=1e-4)


@pytest.mark.parametrize(("dtype", "last", "within"), [(torch.bfloat16, False, 0.05), (torch.float32, True, 1e-4)])
def test_other_types_and_layouts_equal_a_twin_of_the_same_kind(dtype: torch.dtype, last: bool, within: float) -> None:
    torch.manual_seed(0)
    network = NETWORKS["in-place"]().eval().to(dtype)
    if last:
        network = network.to(memory_format=torch.channels_last)
    subject = image(network, dtype)
    for module, calls in twins_values(network, subject.tensor).items():
        found = feature_maps(subject, module).maps.reshape(-1)
        expected = calls[0][0].double().numpy().reshape(-1)
        assert np.abs(found - expected).max() <= within * max(1.0, np.abs(expected).max())
