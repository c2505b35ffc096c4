"""Measure the health of a network's layers over a data set, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.api.public import public
from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph
from convscope.graph.vocabulary import ACTIVATIONS
from convscope.interpret.features.observed import AxesOfMaps
from convscope.interpret.health.layer_health import LayerHealth, NetworkHealth
from convscope.interpret.health.unit_statistics import UnitStatistics
from convscope.interpret.opened_run import opened_run
from convscope.interpret.replay.on_images import images_at_once
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, ProgressOption, no_progress
from convscope.runs.predictor import Predictor
from convscope.runs.run_like import RunLike

_WEIGHTED = ("convolution", "transposed_convolution", "linear")
_BATCH = 32


def network_health(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    data: str = "the images",
    layers: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> NetworkHealth:
    """Return how many units of each layer are dead or saturated over images, and each layer's effective rank and norm.

    One pass in the memory of a plain forward pass, and of each layer the square of its channels. Interrupted, it is of
    the images that were gone through.

    Args:
        replays: the network.
        images: the data set.
        normalization: of the network's input.
        data: what to call the images.
        layers: names of layers or operations; those of all activations unless given, or of all layers with weights
            where there is no activation.
        progress: called after each batch.

    Raises:
        DataError: no images.
        CaptureError: no such layer, or the network does not run on the images.
    """
    if not len(images):
        raise DataError(f"there are no images in {data}, so nothing is known of any unit")
    found: dict[str, UnitStatistics] = {}
    done = 0
    try:
        size = images_at_once(replays, images, normalization, _BATCH)
        for pixels, _, _ in Batches(images, batch_size=size, device=replays.device, normalization=normalization):
            graph, names = replays.graph_on(pixels)
            axes = AxesOfMaps(names)
            wanted = list(unit_layers(graph, names) if layers is None else layers)
            for name, values in replays.values_as_they_come(pixels, wanted=wanted):
                value = names.find_source(name)
                if name not in found:
                    producer = graph.values[value].producer
                    found[name] = UnitStatistics("input" if producer is None else graph.nodes[producer].op)
                found[name].add(values, channels=axes.of(value).channels)
            done += len(pixels)
            progress(done, len(images), "measuring units")
    except KeyboardInterrupt:
        if not done:
            raise
    return NetworkHealth(
        network=replays.name,
        data=data,
        images=done,
        planned=len(images),
        layers=tuple(_health(name, statistics) for name, statistics in found.items()),
    )


@public
def health(
    run: RunLike | Predictor,
    split: str | None = None,
    *,
    layers: Sequence[str] | None = None,
    progress: ProgressOption = False,
) -> NetworkHealth:
    """Measure how many units of a run's network are dead or saturated over its images, and each layer's effective rank.

    Args:
        run: its directory, what `convscope.train` returned, or a predictor of it.
        split: test, val or train; test, or else val, unless given.
        layers: names of layers or operations; those of all activations unless given.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read, or there is no such split.
        CaptureError: no such layer.

    Here `run` is LeNet-5 after an epoch on the built-in digits:

    >>> found = health(run, layers=["act1"])
    >>> found.images, 0 <= found.layers[0].dead_share <= 1
    (179, True)
    """
    with opened_run(run, split, progress) as found:
        return network_health(
            found.replays, found.images, found.normalization, data=found.data, layers=layers, progress=found.progress
        )


def unit_layers(graph: Graph, names: LayerNames) -> tuple[str, ...]:
    """Return the names of the activations of a network, its outputs left out; else of its layers with weights.

    Raises:
        CaptureError: it has neither.
    """
    inside = [node for node in names.nodes if not set(node.outputs) & set(graph.outputs)]
    found = [node for node in inside if node.op in ACTIVATIONS]
    found = found or [node for node in names.nodes if node.op in _WEIGHTED]
    if not found:
        raise CaptureError(f"{graph.name} has neither activations nor layers with weights, so it has no units")
    return tuple(names.of_node(node) for node in found)


def _health(name: str, statistics: UnitStatistics) -> LayerHealth:
    rank = statistics.effective_rank
    return LayerHealth(
        layer=name,
        op=statistics.op,
        units=statistics.channels,
        dead=tuple(int(unit) for unit in statistics.dead.nonzero()[0]),
        saturated=statistics.saturated,
        effective_rank=None if rank is None else _rounded(rank),
        root_mean_square=_rounded(statistics.root_mean_square),
        not_finite=statistics.not_finite,
    )


def _rounded(number: float) -> float:
    """Return a number in six digits: the last ones of a sum change with the number of threads."""
    return float(f"{number:.6g}")
