"""Does a map depend on the weights: the network's layers get random weights, from the last one down.

Source: Adebayo et al. 2018, "Sanity checks for saliency maps", section 3 (cascading randomization; rank correlation of
maps with their signs and of their absolute values, SSIM). Weights are replaced in the replay's tensors; the module is
neither copied nor changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import numpy as np
import torch

from convscope.arrays import Array
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph, Node, Ref, alive_nodes
from convscope.interpret.attribution.checks.rank_correlation import rank_correlation, structural_similarity
from convscope.interpret.replay.replay import Replay
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, no_progress
from convscope.report.short_repr import ShortRepr
from convscope.report.units import plural


class Maps(NamedTuple):
    """A method's map of a class on an image, of any size of its own: as it is shown, and with its signs.

    The two are one of a method whose map is signed, or has no signs at all.
    """

    shown: Array
    signed: Array


MapFunction = Callable[[Subject, int], Maps]

STAGES = 8
SIMILAR = 0.5  # a rank correlation above this with random weights: the map is not of what was learned
FEWEST_CELLS = 16  # of a map: rank correlations of fewer are often that high by chance
_PLACES = 7919  # by which random numbers are moved from one stage to the next
_LEAST_VARIANCE = 1e-10  # of a channel: no division by 0
_FEWEST_POSITIONS = 16  # from which a channel's mean and variance can be measured on one image


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WeightRandomization(ShortRepr):
    """How a map changes when layers get random weights, from the last one down.

    Args:
        random_layers: how many of the layers have random weights at each stage; the last entry is all.
        layers: down to which layer they are random at each stage, by name.
        rank_correlations: Spearman's rank correlation of the absolute maps, random against trained, at each stage; None
            where a map is constant.
        signed_correlations: the same of the maps with their signs.
        structural_similarities: SSIM of the absolute maps; None where a map is 0.
        cells: of the map.
    """

    random_layers: tuple[int, ...]
    layers: tuple[str, ...]
    rank_correlations: tuple[float | None, ...]
    signed_correlations: tuple[float | None, ...]
    structural_similarities: tuple[float | None, ...]
    cells: int

    @property
    def all_random(self) -> float | None:
        """The rank correlation of the absolute maps with all weights random."""
        return self.rank_correlations[-1]

    @property
    def upper_random(self) -> float | None:
        """The least rank correlation, with signs, over the stages at which at most the upper half of layers is random.

        None for a network of one layer, and where the map is constant at one of them.
        """
        found = [
            value
            for count, value in zip(self.random_layers, self.signed_correlations, strict=True)
            if 2 * count <= self.random_layers[-1]
        ]
        known = [value for value in found if value is not None]
        return min(known) if known and len(known) == len(found) else None

    @property
    def fails(self) -> bool:
        """Whether the map stays similar until all weights are random, or, signs included, while the upper ones are.

        Similar is a rank correlation above 0.5, and to stay is to be similar at each of the stages, since maps of few
        cells are alike by chance at one or another. The first shows the image. The second shows the lower layers,
        whatever the score is made of: that is how guided backpropagation fails (Adebayo et al. 2018: "invariant to
        higher layer parameters"; Sixt, Granz and Landgraf 2020). With random weights above, the score is another
        function of the same features, as often of the opposite sign, so that a map of the score has no expected
        correlation with the trained one. Absolute maps are alike even then, since both are large where the features are
        active. A map of fewer than 16 cells is not judged.
        """
        return self.cells >= FEWEST_CELLS and (self._stays or (self.upper_random or 0.0) > SIMILAR)

    @property
    def _stays(self) -> bool:
        """Whether the absolute map is similar at each stage."""
        return all(value is not None and value > SIMILAR for value in self.rank_correlations)

    @property
    def sentence(self) -> str:
        """What was found, in a sentence.

        >>> found = WeightRandomization(
        ...     random_layers=(1, 2, 4), layers=("fc", "conv3", "conv1"), rank_correlations=(0.9, 0.8, 0.2),
        ...     signed_correlations=(0.9, 0.7, 0.1), structural_similarities=(0.8, 0.6, 0.1), cells=49,
        ... )
        >>> found.fails, found.sentence
        (True, 'The map stays similar with the upper layers random (rank correlation 0.70): it shows the lower ones')
        """
        found, upper = self.all_random, self.upper_random
        if self.cells < FEWEST_CELLS:
            return f"The map has {plural(self.cells, 'cell')}: too few to say whether random weights change it"
        if found is not None and self._stays:
            similar = f"rank correlation {found:.2f}"
            return (
                f"The map stays similar with all weights random ({similar}): it shows the image, not what was learned"
            )
        if upper is not None and upper > SIMILAR:
            similar = f"rank correlation {upper:.2f}"
            return f"The map stays similar with the upper layers random ({similar}): it shows the lower ones"
        if found is None:
            return "The map is constant with all weights random: it depends on what was learned"
        if found <= SIMILAR:
            changes = f"changes with all weights random (rank correlation {found:.2f})"
        else:
            known = [value for value in self.rank_correlations if value is not None]
            least = f"rank correlation {min(known):.2f}" if None not in self.rank_correlations else "constant"
            changes = f"changes at some stages only ({least}; {found:.2f} with all weights random)"
        return f"The map {changes}: it depends on what was learned"


def randomized_weights(
    subject: Subject,
    methods: Mapping[str, MapFunction],
    target: int,
    *,
    stages: int = STAGES,
    decisive: Collection[str] = (),
    seed: int = 0,
    trained: Mapping[str, Maps] | None = None,
    progress: Progress = no_progress,
) -> dict[str, WeightRandomization]:
    """Return for each method how its map changes when layers get random weights, from the last one down.

    At each stage all methods read the same run. Kernels are drawn from a normal distribution with variance
    2 / fan-in (He et al. 2015); every other parameter gets its own numbers in random order. Each stage has these
    numbers in other places. The statistics of batch normalization above a random layer are measured anew on the image,
    as those of a trained network would be.

    Args:
        subject: the network and its image.
        methods: each method's maps, by name.
        target: the class.
        stages: of the cascade, the last layer alone first and all layers last; the upper half is one of three or more.
        decisive: methods that are compared at two stages only: with the upper half of the layers random, and with all.
        seed: of the random weights.
        trained: the maps with the weights as they are, where they are known.
        progress: called with stages done.

    Raises:
        CaptureError: a map can't be computed.
    """
    replay = subject.replay
    groups = weights_from_last(replay.graph)
    if not groups:
        return {}
    counts = random_layer_counts(len(groups), stages)
    drawn = random_weights(subject.replays, groups, seed=seed)
    trained = trained or {}
    known = {name: trained[name] if name in trained else of(subject, target) for name, of in methods.items()}
    deciding = {max((count for count in counts if 2 * count <= counts[-1]), default=counts[-1]), counts[-1]}
    found: dict[str, dict[int, tuple[float | None, float | None, float | None]]] = {name: {} for name in methods}
    for done, count in enumerate(counts):
        progress(done, len(counts), "random weights")
        names = [name for group in groups[:count] for name in group.names]
        moved = {name: drawn[name].flatten().roll(done * _PLACES).reshape(drawn[name].shape) for name in names}
        randomized = with_weights_calibrated(subject, moved)
        for name, maps_of in methods.items():
            if name in decisive and count not in deciding:
                continue
            maps = maps_of(randomized, target)
            absolute = np.abs(known[name].shown), np.abs(maps.shown)
            found[name][count] = (
                rank_correlation(*absolute),
                rank_correlation(known[name].signed, maps.signed),
                structural_similarity(*absolute),
            )
    progress(len(counts), len(counts), "random weights")
    return {name: _randomization(groups, found[name], known[name].shown.size) for name in methods}


def random_layer_counts(layers: int, stages: int) -> list[int]:
    """Return how many layers have random weights at each stage: one first, half of them in the middle, then all.

    >>> random_layer_counts(10, 8), random_layer_counts(5, 3), random_layer_counts(1, 3)
    ([1, 3, 5, 6, 7, 8, 10], [1, 2, 5], [1])
    """
    upper = np.linspace(0, 0.5, (stages + 1) // 2)
    lower = np.linspace(0.5, 1, max(1, stages // 2) + 1)[1:]
    return sorted({max(1, int(layers * part + 1e-9)) for part in (*upper, *lower)})


def _randomization(
    groups: Sequence[LayerWeights], found: Mapping[int, tuple[float | None, float | None, float | None]], cells: int
) -> WeightRandomization:
    absolute, signed, structural = zip(*found.values(), strict=True)
    return WeightRandomization(
        random_layers=tuple(found),
        layers=tuple(groups[count - 1].layer for count in found),
        rank_correlations=absolute,
        signed_correlations=signed,
        structural_similarities=structural,
        cells=cells,
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class LayerWeights(ShortRepr):
    """The parameters of a layer: its kernel, and the norms and biases between it and the next one.

    Args:
        layer: its name.
        names: of the parameters.
        node: the operation that reads the kernel, by its index in `Graph.nodes`.
    """

    layer: str
    names: tuple[str, ...]
    node: int


def weights_from_last(graph: Graph) -> list[LayerWeights]:
    """Return the network's weights by layer, the last layer first; a shared parameter counts with its last use."""
    names, alive = LayerNames(graph), alive_nodes(graph)
    groups: list[LayerWeights] = []
    taken: set[int] = set()
    pending: list[str] = []
    for node in reversed(graph.nodes):
        if node.index not in alive:
            continue
        read = [index for index in node.inputs if graph.values[index].kind == "parameter" and index not in taken]
        read = [index for index in read if getattr(torch, graph.values[index].spec.dtype).is_floating_point]
        taken.update(read)
        pending += [graph.values[index].name for index in read]
        if any(len(graph.shape(index)) >= 2 for index in read):
            layer = node.module or names.of_value(node.outputs[0])
            groups.append(LayerWeights(layer=layer, names=tuple(pending), node=node.index))
            pending = []
    if pending and groups:
        last = groups[-1]
        groups[-1] = LayerWeights(layer=last.layer, names=(*last.names, *pending), node=last.node)
    return groups


def random_weights(replays: Replays, groups: Sequence[LayerWeights], *, seed: int) -> dict[str, torch.Tensor]:
    """Return random numbers for the parameters of layers, by name: kernels normal, the rest in random order."""
    parameters = dict(replays.network.named_parameters(remove_duplicate=False))
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for name in (name for group in groups for name in group.names):
        own = parameters[name].detach()
        if own.ndim >= 2:
            spread = (2 / max(1, prod(own.shape[1:]))) ** 0.5
            made = torch.randn(own.shape, generator=generator, dtype=torch.float32).mul_(spread)
            drawn[name] = made.to(own.dtype)
        else:
            order = torch.randperm(own.numel(), generator=generator)
            drawn[name] = own.flatten()[order].reshape(own.shape).clone()
    return drawn


def with_weights_calibrated(subject: Subject, weights: Mapping[str, torch.Tensor]) -> Subject:
    """Return a subject under other weights, and under the statistics of batch normalization that belong to them.

    Its run shares the values before the first of these weights with the subject's.
    """
    run = subject.replay.with_weights(weights)
    statistics = calibrate(run, weights)
    return replace(subject.with_weights({**weights, **statistics}), given_replay=run)


def calibrate(run: Replay, weights: Collection[str]) -> dict[str, torch.Tensor]:
    """Give a run the mean and variance over its own image in each batch normalization that depends on some weights.

    Args:
        run: in which nothing is computed yet that depends on the weights.
        weights: by name.

    Returns:
        The statistics by buffer's name. A channel of fewer than 16 positions has no variance to speak of, and keeps
        what was measured in training.
    """
    graph, found = run.graph, dict[str, torch.Tensor]()
    changed = {value.index for value in graph.values if value.name in weights and value.producer is None}
    alive = alive_nodes(graph)
    for node in graph.nodes:
        if node.index not in alive or changed.isdisjoint(node.inputs):
            continue
        changed.update(node.outputs)
        if node.op == "batch_norm" and node.arguments.get("training") is not True:
            for buffer, numbers in _statistics(run.tensor(node.inputs[0]).detach(), node):
                run.give(buffer, numbers.to(run.tensor(buffer).dtype))
                found[graph.values[buffer].name] = run.tensor(buffer)
            run.tensor(node.outputs[0])  # a module that is called again has other statistics there
    return found


def _statistics(source: torch.Tensor, node: Node) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield a batch normalization's mean and variance over its input, each with the buffer's place in the graph."""
    if source.numel() < _FEWEST_POSITIONS * source.shape[1]:
        return
    # In one pass: torch's own variance takes five times as long.
    _, mean, inverse = torch.native_batch_norm(source, None, None, None, None, True, 0.0, _LEAST_VARIANCE)
    variance = (inverse.double().pow(-2) - _LEAST_VARIANCE).clamp(min=0)
    for name, numbers in {"running_mean": mean, "running_var": variance}.items():
        buffer = node.arguments.get(name)
        if isinstance(buffer, Ref):
            yield buffer.value, numbers
