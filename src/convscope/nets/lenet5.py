"""LeNet-5 (1998), for handwritten digits on cheques.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 86(11), section
II-B and figure 2. Layers keep the paper's names: C is a convolution, S subsampling, F full connection.

By default `lenet5` is the form in common use today (61,706 parameters); with
`subsampling="trainable", connections="1998", output="rbf", activation="scaled-tanh"` it is the paper's (60,000).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from convscope.api.annotations import Positive
from convscope.errors import GeometryError
from convscope.nets.layers import in_order
from convscope.nets.shapes import output_shape

STAGES = {
    "lenet5 lenet5-1998": (
        ("c1", (6, 28, 28)),
        ("s2", (6, 14, 14)),
        ("c3", (16, 10, 10)),
        ("s4", (16, 5, 5)),
        ("c5", (120, 1, 1)),
        ("f6", (84,)),
        ("output", (10,)),
    ),
    "lenet5-notes": (
        ("c1", (8, 28, 28)),
        ("s2", (8, 14, 14)),
        ("c3", (16, 10, 10)),
        ("s4", (16, 5, 5)),
        ("c5", (120, 1, 1)),
        ("f6", (84,)),
        ("output", (10,)),
    ),
}

# Table I: the maps of S2 that each of C3's 16 maps reads; 60 connections, so 60 * 25 weights and 16 biases.
C3_SOURCES = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class ScaledTanh(nn.Module):
    """The paper's squashing function, `1.7159 tanh(2/3 x)`, which maps 1 to 1 and -1 to -1 (appendix A)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the squashed values, of the same shape."""
        return 1.7159 * torch.tanh(x * (2 / 3))


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "scaled-tanh": ScaledTanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}


class TrainableSubsampling(nn.Module):
    """The sum of each 2x2 square times a trained coefficient per map, plus a bias, then a squashing (section II-B)."""

    def __init__(self, maps: int, activation: nn.Module) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps, 1, 1))
        self.bias = nn.Parameter(torch.empty(maps, 1, 1))
        self.activation = activation
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the coefficients to 1/4, with which the sum is the mean, and the biases to 0."""
        nn.init.constant_(self.weight, 0.25)
        nn.init.zeros_(self.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, maps, H // 2, W // 2) from (N, maps, H, W)."""
        squashed: torch.Tensor = self.activation(4 * F.avg_pool2d(x, 2) * self.weight + self.bias)
        return squashed


class PartialConvolution(nn.Module):
    """A 5x5 convolution whose every output map reads its own few input maps (table I)."""

    def __init__(self, sources: tuple[tuple[int, ...], ...] = C3_SOURCES) -> None:
        super().__init__()
        self.sources = sources
        self.maps = nn.ModuleList(nn.Conv2d(len(maps), 1, 5) for maps in sources)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, 16, H - 4, W - 4) from (N, 6, H, W)."""
        pieces = zip(self.maps, self.sources, strict=True)
        return torch.cat([conv(torch.cat([x[:, i : i + 1] for i in maps], 1)) for conv, maps in pieces], 1)


class RadialOutput(nn.Module):
    """The squared distance of F6's 84 numbers to each class's fixed code of +1 and -1 (equation 7), as a score.

    The paper's codes are 7x12 drawings of the characters, chosen by hand; here they are fixed random signs, since other
    tasks have other classes, and the paper allows that. The distance is negated so that the largest score wins, and
    read as a Gaussian's of variance 8 (the paper's has 1/2, and a criterion of its own), so that cross-entropy trains.
    """

    codes: torch.Tensor

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        signs = torch.randint(
            0, 2, (num_classes, in_features), generator=torch.Generator().manual_seed(0), device="cpu"
        )
        self.register_buffer("codes", signs.float() * 2 - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes) of features (N, 84)."""
        return -(x.unsqueeze(1) - self.codes).square().sum(2) / 16


class LeNet5(nn.Module):
    """C1-S2-C3-S4-C5-F6-output, from images (N, C, H, W) to scores (N, num_classes)."""

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        image_size: tuple[int, int],
        c1_maps: int,
        activation: str,
        subsampling: str,
        connections: str,
        output: str,
    ) -> None:
        super().__init__()
        act = _ACTIVATIONS[activation]

        def subsample(maps: int) -> nn.Module:
            if subsampling == "trainable":
                return TrainableSubsampling(maps, act())
            return nn.MaxPool2d(2) if subsampling == "max" else nn.AvgPool2d(2)

        # MNIST has 28x28 pixels; the paper centres them in 32x32 beforehand, here C1 pads them.
        self.c1 = nn.Conv2d(in_channels, c1_maps, 5, padding=2 if min(image_size) <= 28 else 0)
        self.act1 = act()
        self.s2 = subsample(c1_maps)
        self.c3 = PartialConvolution() if connections == "1998" else nn.Conv2d(c1_maps, 16, 5)
        self.act3 = act()
        self.s4 = subsample(16)
        maps = in_order({"c1": self.c1, "s2": self.s2, "c3": self.c3, "s4": self.s4})
        rest = output_shape(maps, (in_channels, *image_size))
        # C5 spans all of S4: 5x5 at the paper's input; on other inputs it grows, and its output stays 1x1.
        self.c5 = nn.Conv2d(16, 120, (rest[1], rest[2]))
        self.act5 = act()
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, 84)
        self.act6 = act()
        self.output: nn.Module = RadialOutput(84, num_classes) if output == "rbf" else nn.Linear(84, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores (N, num_classes) of images (N, C, H, W)."""
        x = self.s2(self.act1(self.c1(x)))
        x = self.s4(self.act3(self.c3(x)))
        x = self.act5(self.c5(x))
        x = self.act6(self.f6(self.flatten(x)))
        scores: torch.Tensor = self.output(x)
        return scores


def lenet5(
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: tuple[int, int] = (32, 32),
    c1_maps: Positive = 6,
    activation: Literal["tanh", "scaled-tanh", "relu", "sigmoid"] = "tanh",
    subsampling: Literal["average", "max", "trainable"] = "average",
    connections: Literal["full", "1998"] = "full",
    output: Literal["linear", "rbf"] = "linear",
) -> LeNet5:
    """Build LeNet-5 for images (N, in_channels, H, W) of at least 12x12 pixels.

    Up to 28x28, C1 pads by 2, so that MNIST's 28x28 gives the paper's maps; larger images are not padded.

    Raises:
        GeometryError: an image too small, or the 1998 connections with other than 6 maps in C1.

    >>> sum(p.numel() for p in lenet5(in_channels=3, c1_maps=8).parameters())  # the lecture notes' table
    62958
    """
    if connections == "1998" and c1_maps != 6:
        raise GeometryError(f"the 1998 connections read 6 maps, but C1 has {c1_maps}: leave c1_maps at 6")
    return LeNet5(
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
        c1_maps=c1_maps,
        activation=activation,
        subsampling=subsampling,
        connections=connections,
        output=output,
    )
