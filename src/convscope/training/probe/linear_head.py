"""The last layer of a network as a linear classifier: where it is, which features it reads, and how it is set.

A head is a fully connected layer, or a 1x1 convolution, whose outputs are the scores: averaged over positions where it
has any, and times a constant where the network has one. That is tried, not read from the code: with random weights in
the head, the network's scores must be those of a linear function of the layer's input.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from convscope.api.generators import OwnGenerators, exclusive
from convscope.errors import RunError
from convscope.hardware.mode import ForwardPass
from convscope.nets.build import Architecture
from convscope.nets.modules import evaluation_mode
from convscope.scoring.linear_fit import LinearFit

HeadLayer: TypeAlias = nn.Linear | nn.Conv2d
# How far scores may be from a linear function's, in shares of the largest; rounding alone is far below it.
TOLERANCE = 1e-3
# Images that it is tried on.
TRIED_IMAGES = 4


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A network's last layer.

    Args:
        name: of the layer, as `named_modules` has it.
        layer: the layer itself.
        scale: the constant that its outputs are multiplied by.
    """

    name: str
    layer: HeadLayer
    scale: float

    @property
    def classes(self) -> int:
        """The number of scores."""
        return len(self.layer.weight)

    @property
    def own_weights(self) -> frozenset[str]:
        """The names of its parameters in the network."""
        return frozenset(f"{self.name}.{name}".lstrip(".") for name, _ in self.layer.named_parameters())

    def features(self, network: nn.Module, forward: ForwardPass, pixels: Tensor) -> Tensor:
        """Return the features (N, features), float32, that the layer reads of images (N, C, H, W)."""
        with _inputs_of(self.layer) as seen:
            forward(pixels)
        return _of_channels(self.layer, seen[0])

    def set(self, fit: LinearFit) -> None:
        """Put a linear classifier into the layer, in place."""
        with torch.no_grad():
            self.layer.weight.copy_((fit.weight / self.scale).view_as(self.layer.weight))
            if self.layer.bias is not None:
                self.layer.bias.copy_(fit.bias / self.scale)

    def scores(self, features: Tensor) -> Tensor:
        """Return the network's scores (N, classes) of features, as the layer's weights are now."""
        weight = self.layer.weight.detach().flatten(1).to(features.dtype) * self.scale
        scores = features @ weight.T
        return scores if self.layer.bias is None else scores + self.layer.bias.detach().to(features.dtype) * self.scale


def find_head(network: nn.Module, pixels: Tensor, *, classes: int) -> LinearHead:
    """Return the head of a network, found by running it on a few images (N, C, H, W); it is left as it was.

    Raises:
        RunError: the scores are not a linear function of what the last layer reads.

    >>> from convscope.nets.build import build
    >>> find_head(build("lenet5", num_classes=10, in_channels=1), torch.rand(2, 1, 32, 32), classes=10).name
    'output'
    """
    layers: dict[nn.Module, str] = {
        layer: name for name, layer in network.named_modules() if _may_be_head(layer, classes)
    }
    with evaluation_mode(network), torch.inference_mode():
        last = _last_called(network, layers, pixels[:TRIED_IMAGES])
        if last is None:
            raise RunError(
                f"head solve needs a last layer, fully connected or a 1x1 convolution, with {classes} outputs, and the "
                "network runs none: take head train"
            )
        scale = _scale(network, last, pixels[:TRIED_IMAGES])
    if scale is None:
        raise RunError(
            f"head solve: the network changes what its last layer, {layers[last]}, puts out, so its scores are no "
            "linear function of features: take head train"
        )
    return LinearHead(name=layers[last], layer=last, scale=scale)


def head_problem(architecture: Architecture) -> str:
    """Return why the head of a network can't be solved, tried with random weights; empty where it can."""
    with exclusive(), OwnGenerators(0):
        network = architecture.build()
        pixels = torch.randn(TRIED_IMAGES, architecture.channels, *architecture.image_size)
    try:
        find_head(network, pixels, classes=architecture.classes)
    except RunError as error:
        return str(error)
    return ""


def _may_be_head(layer: nn.Module, classes: int) -> bool:
    if isinstance(layer, nn.Linear):
        return layer.out_features == classes
    return (
        isinstance(layer, nn.Conv2d)
        and layer.out_channels == classes
        and layer.kernel_size == (1, 1)
        and layer.stride == (1, 1)
        and layer.padding == (0, 0)
        and layer.groups == 1
    )


def _last_called(network: nn.Module, layers: dict[nn.Module, str], pixels: Tensor) -> HeadLayer | None:
    """Return the layer that is called last of some, once; None where there is none."""
    called: list[nn.Module] = []
    handles = [layer.register_forward_hook(lambda layer, *_: called.append(layer)) for layer in layers]
    try:
        network(pixels)
    finally:
        for handle in handles:
            handle.remove()
    last = called[-1] if called else None
    return last if isinstance(last, (nn.Linear, nn.Conv2d)) and called.count(last) == 1 else None


def _scale(network: nn.Module, layer: HeadLayer, pixels: Tensor) -> float | None:
    """Return the constant between the network's scores and the layer's own; None where there is no such constant.

    Two sets of random weights are tried, so that neither weights of zero nor weights that are also used elsewhere pass.
    """
    found: list[tuple[Tensor, float]] = []
    for seed in (0, 1):
        with _random_weights(layer, seed), _inputs_of(layer) as seen:
            scores = network(pixels)
            read = _of_channels(layer, seen[0])
            bias = 0.0 if layer.bias is None else layer.bias
            own = read @ layer.weight.flatten(1).T + bias
        if not isinstance(scores, Tensor) or scores.shape != own.shape:
            return None
        scale = float((scores * own).sum() / own.square().sum())
        if not (scores - scale * own).abs().max() <= TOLERANCE * scores.abs().max():
            return None
        found.append((read, scale))
    (first, scale), (second, other) = found
    same = torch.equal(first, second) and abs(scale - other) <= TOLERANCE * abs(scale)
    # Rounding leaves a constant of 1 not quite one.
    return (1.0 if abs(scale - 1) < TOLERANCE else scale) if same and scale else None


@contextmanager
def _random_weights(layer: HeadLayer, seed: int) -> Iterator[None]:
    """Set a layer's weights to random ones inside; its own are restored after, bit for bit."""
    kept = [parameter.detach().clone() for parameter in layer.parameters()]
    draw = torch.Generator().manual_seed(seed)
    try:
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
        yield
    finally:
        for parameter, own in zip(layer.parameters(), kept, strict=True):
            parameter.copy_(own)


@contextmanager
def _inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Keep what a layer reads inside."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    try:
        yield seen
    finally:
        handle.remove()


def _of_channels(layer: nn.Module, read: Tensor) -> Tensor:
    """Return the mean (N, channels) over all positions of what a layer reads, in float32."""
    if isinstance(layer, nn.Conv2d):
        read = read.flatten(2).transpose(1, 2)
    read = read.float()
    return read if read.ndim == 2 else read.flatten(1, -2).mean(1)
