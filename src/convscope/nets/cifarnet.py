"""CifarNet: a network for small images, made to be accurate within few minutes of training on a processor.

It is convscope's own. It builds on published results on training small images fast: a first layer that is fitted
instead of trained, filters that start as the identity, no trained scales, a maximum over all positions at the end
(Page, "How to Train Your ResNet", 2018; Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024,
arXiv:2404.00498, sections 3.1 to 3.3). New here is the placement of the MACs: few channels while the map is large,
where a CPU is bound by memory bandwidth; the widest convolution at a quarter of the side; and the remaining depth, with
a shortcut, on maps of 3x3, where it is cheap. It takes images of any size, so progressive resizing is possible.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convscope.nets.layer_groups import ParamGroup
from convscope.nets.layers import in_order
from convscope.nets.whiten import Whitening

STAGES = {
    "cifarnet": (
        ("whiten", (24, 31, 31)),
        ("stage1", (64, 15, 15)),
        ("stage2", (192, 7, 7)),
        ("stage3", (256, 7, 7)),
        ("stage4", (256, 3, 3)),
        ("pool", (256,)),
        ("fc", (10,)),
    ),
}


@dataclass(frozen=True)
class Stage:
    """A stage: a number of 3x3 convolutions, their output channels, and whether the map is halved after the first.

    With a `shortcut`, the output of the first convolution is added to that of the others.
    """

    channels: int
    convolutions: int
    halved: bool
    shortcut: bool = False


# The first layer: side of a patch, step, padding, principal components (each gives two maps, one for each sign).
PATCH, STEP, PADDING, DIRECTIONS = 2, 1, 0, 12
TRUNK = (
    Stage(64, 2, halved=True),
    Stage(192, 1, halved=True),
    Stage(256, 1, halved=False),
    Stage(256, 3, halved=True, shortcut=True),
)

# Batch normalization: the new batch's share of the running statistics is large, since the run is short.
MOMENTUM, EPSILON = 0.4, 1e-6

# Highest learning rates for each image of a step (see nets.paces). The classifier's weights start at 1 / width instead
# of 1, so its rate is that of weights of 1 over width².
BIAS_RATE, CLASSIFIER_RATE, DECAY = 0.053, 0.67, 2e-6
# The first layer's biases are soon what they will be; frozen, they spare the way back through the largest map.
WHITENING_SHARE = 3 / 8


class _Norm(nn.BatchNorm2d):
    """Batch normalization without a trained scale: the next layer's filters can have any."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPSILON, momentum=MOMENTUM)
        ones = self.weight.detach()
        del self.weight
        self.register_buffer("weight", ones)


class _IdentityConvolution(nn.Conv2d):
    """A 3x3 convolution whose first filters are initialized to the identity."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.dirac_(self.weight.detach()[:in_channels])


class _GlobalMax(nn.Module):
    """The largest value of each map: (N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the maximum over all positions."""
        return x.amax((2, 3))


class _SumWithRest(nn.Module):
    """The sum of the output of `first` and of `rest` applied to it."""

    def __init__(self, first: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        """Return first(x) + rest(first(x))."""
        x = self.first(x)
        rest: Tensor = self.rest(x)
        return x + rest


def _stage(in_channels: int, stage: Stage) -> nn.Module:
    """Build a stage: convolution, pooling if the map is halved, normalization, GELU; then its other convolutions."""
    units = []
    for number in range(1, stage.convolutions + 1):
        layers: dict[str, nn.Module] = {f"conv{number}": _IdentityConvolution(in_channels, stage.channels)}
        if stage.halved and number == 1:
            layers["pool"] = nn.MaxPool2d(2)
        layers[f"norm{number}"] = _Norm(stage.channels)
        layers[f"gelu{number}"] = nn.GELU()
        units.append(layers)
        in_channels = stage.channels
    first, *others = units
    rest = {name: layer for unit in others for name, layer in unit.items()}
    if stage.shortcut:
        return _SumWithRest(in_order(first), in_order(rest))
    return in_order({**first, **rest})


class CifarNet(nn.Sequential):
    """A network from images (N, C, H, W) to scores (N, num_classes)."""

    whiten: Whitening
    fc: nn.Linear

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        whiten = Whitening(in_channels, DIRECTIONS, PATCH, stride=STEP, padding=PADDING)
        layers: dict[str, nn.Module] = {"whiten": whiten, "gelu": nn.GELU()}
        channels = whiten.out_channels
        for number, stage in enumerate(TRUNK, 1):
            layers[f"stage{number}"] = _stage(channels, stage)
            channels = stage.channels
        fc = nn.Linear(channels, num_classes, bias=False)
        with torch.no_grad():
            fc.weight.div_(fc.weight.std() * channels)
        super().__init__(OrderedDict({**layers, "pool": _GlobalMax(), "fc": fc}))

    def fit_whitening(self, images: Tensor) -> None:
        """Fit the first layer to normalised images (N, C, H, W)."""
        self.whiten.fit(images)

    def param_groups(self) -> Mapping[str, ParamGroup]:
        """Return the groups of the biases and of the classifier; the filters use the recipe's learning rate."""
        classifier = ParamGroup(rate=CLASSIFIER_RATE / self.fc.in_features**2, decay=DECAY)
        found = {
            name: ParamGroup(rate=BIAS_RATE, decay=DECAY)
            for name, _ in self.named_parameters()
            if name.endswith(".bias")
        }
        whitening = ParamGroup(rate=BIAS_RATE, decay=DECAY, until=WHITENING_SHARE)
        return {**found, "whiten.bias": whitening, "fc.weight": classifier}

    def scale_free(self) -> frozenset[str]:
        """Return the convolutions followed by a batch normalization, directly or after a max pooling."""
        modules = dict(self.named_modules())
        return frozenset(
            f"{name}.weight"
            for name, module in modules.items()
            if isinstance(module, _IdentityConvolution)
            and isinstance(modules[name.replace("conv", "norm")], nn.BatchNorm2d)
        )


def cifarnet(*, num_classes: int = 10, in_channels: int = 3) -> CifarNet:
    """Build CifarNet for images (N, in_channels, H, W) of at least 9x9 pixels.

    >>> sum(p.numel() for p in cifarnet().parameters())  # 24 + 50,816 + 110,784 + 442,624 + 1,770,240 + 2,560
    2377048
    """
    return CifarNet(num_classes=num_classes, in_channels=in_channels)
