"""CifarNet: a network for small images, made to be accurate within few minutes of training on a processor.

It is convscope's own. It builds on published results on training small images fast: a first layer that is fitted
instead of trained, filters that start as the identity, no trained scales, a maximum over all positions at the end
(Page, "How to Train Your ResNet", 2018; Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024,
arXiv:2404.00498, sections 3.1 to 3.3). New here is the placement of the MACs: few channels while the map is large,
where a CPU is bound by memory bandwidth; the widest convolution at a quarter of the side; and the remaining depth, with
a shortcut, on maps of 3x3, where it is cheap. It takes images of any size, so progressive resizing is possible.

Its family differs in the channels alone. For images above 48 pixels the first layer takes larger patches at a larger
step, `stem_stride`, so that the maps behind it are those of an image of that part of the side, and cost as much: an
image of 64 pixels at a stem stride of 2 has the maps of one of 32. The cells of the last map have a receptive field of
67 pixels a side times the stem stride: more than the image, at each size with the stride of `fitting_stem_stride`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from convscope.nets.layer_groups import ParamGroup
from convscope.nets.layers import in_order
from convscope.nets.whiten import Whitening

STAGES = {
    "cifarnet-tiny": (
        ("whiten", (24, 31, 31)),
        ("stage1", (16, 15, 15)),
        ("stage2", (48, 7, 7)),
        ("stage3", (64, 7, 7)),
        ("stage4", (64, 3, 3)),
        ("pool", (64,)),
        ("fc", (10,)),
    ),
    "cifarnet-small": (
        ("whiten", (24, 31, 31)),
        ("stage1", (32, 15, 15)),
        ("stage2", (96, 7, 7)),
        ("stage3", (128, 7, 7)),
        ("stage4", (128, 3, 3)),
        ("pool", (128,)),
        ("fc", (10,)),
    ),
    "cifarnet": (
        ("whiten", (24, 31, 31)),
        ("stage1", (64, 15, 15)),
        ("stage2", (192, 7, 7)),
        ("stage3", (256, 7, 7)),
        ("stage4", (256, 3, 3)),
        ("pool", (256,)),
        ("fc", (10,)),
    ),
    "cifarnet-large": (
        ("whiten", (24, 31, 31)),
        ("stage1", (96, 15, 15)),
        ("stage2", (288, 7, 7)),
        ("stage3", (384, 7, 7)),
        ("stage4", (512, 3, 3)),
        ("pool", (512,)),
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


# The first layer: the number of principal components at most (each gives two maps, one for each sign), and the side of
# a patch as a multiple of its step.
DIRECTIONS, PATCH_FOR_STEP = 12, 2

# The family, by the size of a network: the same depth at other widths.
TRUNKS = {
    "tiny": (
        Stage(16, 2, halved=True),
        Stage(48, 1, halved=True),
        Stage(64, 1, halved=False),
        Stage(64, 3, halved=True, shortcut=True),
    ),
    "small": (
        Stage(32, 2, halved=True),
        Stage(96, 1, halved=True),
        Stage(128, 1, halved=False),
        Stage(128, 3, halved=True, shortcut=True),
    ),
    "medium": (
        Stage(64, 2, halved=True),
        Stage(192, 1, halved=True),
        Stage(256, 1, halved=False),
        Stage(256, 3, halved=True, shortcut=True),
    ),
    "large": (
        Stage(96, 2, halved=True),
        Stage(288, 1, halved=True),
        Stage(384, 1, halved=False),
        Stage(512, 3, halved=True, shortcut=True),
    ),
}

# The least pixels of a side for each pixel of the stem's stride.
SMALLEST = 9

# Batch normalization: the new batch's share of the running statistics is large, since the run is short.
MOMENTUM, EPSILON = 0.4, 1e-6

# Highest learning rates for each image of a step (see `ParamGroup`), at a last stage of `RATED_WIDTH` maps. The
# classifier's weights start at 1 / width instead of 1, so its rate is that of weights of 1 over width². With these
# weights, a step of a rate changes the scores by the rate over the width, so both rates are in proportion to the width.
BIAS_RATE, CLASSIFIER_RATE, DECAY = 0.053, 0.67, 2e-6
RATED_WIDTH = 256
# The first layer's biases change little after this share; frozen, they save the backward pass of the largest map.
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

    def reset_parameters(self) -> None:
        """Draw the filters, and set the first ones to the identity."""
        super().reset_parameters()
        nn.init.dirac_(self.weight.detach()[: self.in_channels])


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

    def __init__(self, trunk: tuple[Stage, ...], *, num_classes: int, in_channels: int, stem_stride: int) -> None:
        whiten = Whitening(in_channels, DIRECTIONS, PATCH_FOR_STEP * stem_stride, stride=stem_stride, padding=0)
        layers: dict[str, nn.Module] = {"whiten": whiten, "gelu": nn.GELU()}
        channels = whiten.out_channels
        for number, stage in enumerate(trunk, 1):
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
        width = self.fc.in_features
        share = width / RATED_WIDTH
        classifier = ParamGroup(rate=CLASSIFIER_RATE * share / width**2, decay=DECAY)
        found = {
            name: ParamGroup(rate=BIAS_RATE * share, decay=DECAY)
            for name, _ in self.named_parameters()
            if name.endswith(".bias")
        }
        whitening = ParamGroup(rate=BIAS_RATE * share, decay=DECAY, until=WHITENING_SHARE)
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


Size = Literal["tiny", "small", "medium", "large"]

# Pixels of a side for each pixel of the stem's stride, at most; and the largest stride.
SIDE_FOR_STRIDE, LARGEST_STRIDE = 48, 3


def fitting_stem_stride(image_size: tuple[int, int]) -> int:
    """Return the stem stride for images of a height and width: their maps are then of at most some 48 pixels.

    >>> [fitting_stem_stride((side, side)) for side in (28, 48, 49, 64, 96, 128)]
    [1, 1, 2, 2, 2, 3]
    >>> fitting_stem_stride((16, 200))  # at a stride of 2 the shorter side would vanish
    1
    """
    side, shorter = math.sqrt(image_size[0] * image_size[1]), min(image_size)
    return max(1, min(LARGEST_STRIDE, math.ceil(side / SIDE_FOR_STRIDE), shorter // SMALLEST))


def cifarnet(
    *, size: Size = "medium", num_classes: int = 10, in_channels: int = 3, stem_stride: Literal[1, 2, 3] = 1
) -> CifarNet:
    """Build CifarNet for images (N, in_channels, H, W) of at least 9x9 pixels, times the stem stride.

    Args:
        size: the channels of its stages, a row of `TRUNKS`.
        num_classes: outputs.
        in_channels: input channels.
        stem_stride: the step of the first layer in pixels; its patches are of twice the side.

    >>> sum(p.numel() for p in cifarnet().parameters())  # 24 + 50,816 + 110,784 + 442,624 + 1,770,240 + 2,560
    2377048
    >>> cifarnet(size="small", in_channels=1, stem_stride=2).whiten.weight.shape
    torch.Size([24, 1, 4, 4])
    """
    return CifarNet(TRUNKS[size], num_classes=num_classes, in_channels=in_channels, stem_stride=stem_stride)
