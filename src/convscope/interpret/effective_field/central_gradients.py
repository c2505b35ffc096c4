"""The gradient of a layer's middle cell with respect to the image: its absolute value, averaged over draws.

Each channel of the cell has a unit gradient with a random sign (Luo et al. 2016, section 3, start from a unit gradient
at the central pixel); absolute values are taken before anything is averaged, for signed gradients cancel.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.arrays import Floats
from convscope.graph.axes import BATCH, value_axes
from convscope.graph.records import Graph
from convscope.interpret.effective_field.mapped_layers import MappedLayer
from convscope.interpret.replay.replay import Replay
from convscope.interpret.replay.replays import Replays
from convscope.nets.initial_weights import draw_initial_weights
from convscope.report.progress import Progress

# The stream of the signs beside other draws of a seed.
_SIGNS = 2**20
# Bytes of activations up to which images are run together; their gradients take as many again.
_TOGETHER = 2**28

LayerGradients = dict[str, Floats]
"""Of each layer by name, the mean absolute gradient with respect to the image's pixels, (H, W)."""


@dataclass(frozen=True, slots=True, eq=False)
class MeanGradients:
    """Gradients of layers, averaged over draws.

    Args:
        of: the mean by layer.
        draws: how many draws it is the mean of.
        kept: modules whose weights could not be drawn anew.
    """

    of: LayerGradients
    draws: int
    kept: tuple[str, ...] = ()


def gradients_at_initialization(
    replays: Replays,
    layers: Sequence[MappedLayer],
    sample: Tensor,
    *,
    seeds: int,
    seed: int,
    progress: Progress,
) -> MeanGradients:
    """Return the mean over draws of the initial weights, each with a standard normal input of its own.

    The weights are drawn in a copy of the network. Interrupted, it is the mean of the draws that are done.

    Args:
        replays: the network.
        layers: those to measure.
        sample: an input (1, C, H, W) of the right type, on the right device.
        seeds: draws.
        seed: of the first draw; the others follow.
        progress: called after each draw.
    """
    drawn = copy.deepcopy(replays.network)
    kept: tuple[str, ...] = ()

    def draws() -> Iterator[Mapping[str, Tensor]]:
        nonlocal kept
        for number in range(seed, seed + seeds):
            kept = draw_initial_weights(drawn, number)
            weights = {**dict(drawn.named_parameters()), **dict(drawn.named_buffers())}
            noise = torch.randn(sample.shape, generator=torch.Generator().manual_seed(number))
            yield _gradients(replays.with_weights(weights).on(noise.to(sample)), layers, number)

    found, count = _mean(draws(), seeds, progress, "gradients at initialization")
    return MeanGradients(found, count, kept)


def gradients_on_images(
    replays: Replays,
    layers: Sequence[MappedLayer],
    images: Tensor,
    *,
    seed: int,
    progress: Progress,
) -> MeanGradients:
    """Return the mean over images (N, C, H, W) with the network's own weights; see `gradients_at_initialization`."""
    graph, _ = replays.graph_on(images[:1])
    together = images_together(graph)
    together = together if replays.takes([images[:together]]) else 1

    def draws() -> Iterator[Mapping[str, Tensor]]:
        for number, part in enumerate(torch.split(images, together)):
            yield _gradients(replays.on(part), layers, seed + number)

    return MeanGradients(*_mean(draws(), len(images), progress, "gradients on images"))


def images_together(graph: Graph) -> int:
    """Return how many images are run at once, for the memory of what a network of one image computes."""
    of_one = sum(value.spec.bytes for value in graph.values if value.kind == "activation")
    return max(1, _TOGETHER // max(1, of_one))


def _gradients(run: Replay, layers: Sequence[MappedLayer], seed: int) -> dict[str, Tensor]:
    """Return the absolute gradient of each layer's middle cell for each sample, (N, H, W)."""
    image = run.inputs[0]
    laid = value_axes(run.graph, image)
    draw = torch.Generator().manual_seed(seed + _SIGNS)
    found = {}
    for layer in layers:
        index = run.find(layer.name)  # a batch may run other operations before it than one image
        value, axes = run.tensor(index), value_axes(run.graph, index)
        cells = value[tuple(
            slice(None) if place is None or axes.names[axis] == BATCH else place
            for axis, place in enumerate(layer.cell)
        )]  # fmt: skip
        signs = torch.randint(0, 2, cells.shape, generator=draw).to(cells) * 2 - 1
        (gradient,) = run.gradients((cells * signs).sum(), image)
        others = [a for a, name in enumerate(laid.names) if a not in laid.positions and name != BATCH]
        found[layer.name] = gradient.abs().sum(dim=others) if others else gradient.abs()
    return found


def _mean(
    draws: Iterator[Mapping[str, Tensor]], total: int, progress: Progress, what: str
) -> tuple[LayerGradients, int]:
    """Return the mean over all samples of draws; of those before it where the user interrupts, if there are any."""
    sums: LayerGradients = {}
    count = 0
    try:
        for drawn in draws:
            arrays = {name: np.asarray(each.detach().double().cpu().numpy()) for name, each in drawn.items()}
            for name, array in arrays.items():
                sums[name] = sums.get(name, 0.0) + array.sum(axis=0)
            count += len(next(iter(arrays.values())))
            progress(count, total, what)
    except KeyboardInterrupt:
        if not count:
            raise
    return {name: array / count for name, array in sums.items()}, count
