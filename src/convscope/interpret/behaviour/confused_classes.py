"""What parts two classes that a network confuses: channels of its last map, by the logit difference that they make.

For classes a and b the margin of an image is score(a) - score(b). Each channel's part of it is gradient times
activation, summed over the map: where only a mean and a linear layer follow, these parts add up to the margin less the
biases, so that a channel's share of the difference between both classes' mean margins is exact; else it is a first
order estimate, and how much of the difference the channels account for is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convscope.arrays import Floats, Integers
from convscope.data.batches import Batches, to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet, spaced_rows
from convscope.errors import CaptureError, DataError, GeometryError, did_you_mean
from convscope.graph.layer_names import LayerNames
from convscope.interpret.behaviour.confusion_record import ClassPair, ConfusedClasses, WrongImage
from convscope.interpret.behaviour.labelled_images import (
    class_names,
    predictions,
    replay_batch,
    require_labels,
)
from convscope.interpret.features.observed import AxesOfMaps, observed_by_image
from convscope.interpret.replay.on_images import first_input, images_at_once
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress
from convscope.scoring.confusion_counts import ConfusionCounts, count_confusions

EXAMPLES = 4  # wrong images of either class of a pair
_MOST_OF_A_CLASS = 200  # images of each class whose gradients are taken
_GRADIENT_BATCH = 16


def confused_classes(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    pairs: int | Sequence[tuple[int | str, int | str]] = 3,
    layer: str | None = None,
    data: str = "the images",
    classes: Sequence[str] = (),
    progress: Progress = no_progress,
) -> ConfusedClasses:
    """Return for pairs of classes the channels of the last map that part them, and the images that are mistaken.

    One pass counts the confusions; a second takes gradients on the images of the pairs, 200 of each class at most.

    Args:
        replays: the network.
        images: with one label each.
        normalization: of the network's input.
        pairs: how many of the most confused pairs of classes with images, counted in both directions, or these, by name
            or number.
        layer: whose channels; the last observed layer with a map unless given.
        data: what to call the images.
        classes: names of the network's classes.
        progress: called after each batch.

    Raises:
        DataError: no images, or such as have not one class of the network's each, or none of a pair's classes.
        CaptureError: no such layer, or no layer with a map.
        GeometryError: no such class.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    >>> labels = np.arange(30) % 3
    >>> noise = np.random.default_rng(0).integers(0, 100, (30, 8, 8, 1))
    >>> pixels = (noise + 70 * labels[:, None, None, None]).astype(np.uint8)  # the higher the class, the brighter
    >>> given = ImageSet(pixels, labels, [""] * 30)
    >>> found = confused_classes(Replays(network), given, Normalization.default(1), pairs=[(0, 2)])
    >>> round(found.pairs[0].accounted, 2)
    1.0
    """
    if not len(images):
        raise DataError(f"there are no images in {data}")
    one = first_input(replays, images, normalization)
    graph, names = replays.graph_on(one)
    count = int(replays.class_scores(one).shape[1])
    require_labels(images, count, data=data)
    known = class_names(classes, count)
    chosen = last_map(names) if layer is None else observed_by_image(names, [layer])[0].name
    predicted = np.zeros(len(images), np.int64)
    batches = Batches(
        images, batch_size=replay_batch(graph, len(images)), device=replays.device, normalization=normalization
    )
    done = 0
    for pixels, _, rows in batches:
        predicted[rows.numpy()] = predictions(replays.class_scores(pixels))
        done += len(rows)
        progress(done, len(images), "counting confusions")
    known_rows = predicted >= 0
    counts = count_confusions(predicted[known_rows], images.labels[known_rows], classes=count)
    asked = (
        _most_confused(counts, images.labels, pairs)
        if isinstance(pairs, int)
        else [_numbers(pair, known) for pair in pairs]
    )
    found = []
    for number, (a, b) in enumerate(asked):
        found.append(_pair(replays, images, normalization, chosen, (a, b), predicted, known, data))
        progress(number + 1, len(asked), "what separates confused classes")
    return ConfusedClasses(
        network=graph.name, data=data, layer=chosen, classes=known, counts=counts, pairs=tuple(found)
    )


def last_map(names: LayerNames) -> str:
    """Return the name of the last observed layer with positions, of a network captured on one image.

    Raises:
        CaptureError: no layer has a map.
    """
    maps = [found for found in observed_by_image(names, ()) if found.positions]
    if not maps:
        raise CaptureError(f"{names.graph.name} has no layer with a map: name a layer with channels")
    return maps[-1].name


def _most_confused(counts: ConfusionCounts, labels: Integers, most: int) -> list[tuple[int, int]]:
    """Return the pairs of classes, both with images, that have the most mistakes in both directions; one at least."""
    there = set(np.unique(labels).tolist())
    both: dict[tuple[int, int], int] = {}
    for true, predicted, mistakes in counts.wrong.most_frequent():
        if predicted in there:
            pair = (min(true, predicted), max(true, predicted))
            both[pair] = both.get(pair, 0) + mistakes
    return sorted(both, key=lambda pair: (-both[pair], pair))[: max(0, most)]


def _numbers(pair: tuple[int | str, int | str], known: Sequence[str]) -> tuple[int, int]:
    found = []
    for asked in pair:
        number = known.index(asked) if asked in known else asked
        if isinstance(number, str):
            raise GeometryError(f"there is no class {asked!r}.{did_you_mean(number, known)}")
        if not 0 <= number < len(known):
            raise GeometryError(f"there is no class {asked}: there are {len(known)}, 0 to {len(known) - 1}")
        found.append(number)
    if found[0] == found[1]:
        raise GeometryError(f"{known[found[0]]} twice: separating classes takes two")
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class _Side:
    """One class's images: activations averaged over positions, parts of the margin (n, C each), and margins (n,)."""

    activations: Floats
    parts: Floats
    margins: Floats


def _pair(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    layer: str,
    pair: tuple[int, int],
    predicted: Integers,
    known: Sequence[str],
    data: str,
) -> ClassPair:
    sides = []
    for own in pair:
        rows = np.flatnonzero(images.labels == own)
        if not len(rows):
            raise DataError(f"{data} has no images of {known[own]}, so nothing is known of what separates it")
        # Evenly over the class, so that the order of the files does not decide.
        taken = rows[spaced_rows(len(rows), _MOST_OF_A_CLASS)]
        sides.append(_side(replays, images, normalization, layer, pair, taken))
    first, second = sides
    difference = first.activations.mean(0) - second.activations.mean(0)
    spread = np.sqrt((first.activations.var(0) + second.activations.var(0)) / 2)
    margin = float(first.margins.mean() - second.margins.mean())
    parts = first.parts.mean(0) - second.parts.mean(0)
    wrong: list[WrongImage] = []
    for own, other in (pair, pair[::-1]):
        mistaken = np.flatnonzero((images.labels == own) & (predicted == other))[:EXAMPLES].tolist()
        wrong += [WrongImage(images.names[row], np.asarray(images.images[row]), own, other) for row in mistaken]
    return ClassPair(
        first=pair[0],
        second=pair[1],
        means=np.stack([first.activations.mean(0), second.activations.mean(0)]),
        effect=np.divide(difference, spread, out=np.zeros_like(difference), where=spread > 0),
        margin=margin,
        shares=parts / margin if margin else np.full_like(parts, np.nan),
        wrong=tuple(wrong),
    )


def _side(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    layer: str,
    pair: tuple[int, int],
    rows: Integers,
) -> _Side:
    activations: list[Floats] = []
    parts: list[Floats] = []
    margins: list[Floats] = []
    graph, _ = replays.graph_on(first_input(replays, images, normalization))
    most = min(_GRADIENT_BATCH, replay_batch(graph, len(rows)))
    size = images_at_once(replays, images, normalization, most)
    for start in range(0, len(rows), size):
        pixels = np.asarray(images.images[rows[start : start + size]])
        run = replays.on(to_floats(pixels, normalization, device=replays.device))
        margin = run.score(pair[0]) - run.score(pair[1])
        value = run.find(layer)
        axes = AxesOfMaps(run.names).of(value)
        assert axes.channels is not None
        (gradient,) = run.gradients(margin.sum(), value, last=True)
        tensor = run.tensor(value).detach()
        along = list(axes.positions)
        product = gradient * tensor
        activations.append(_numpy(tensor.mean(along) if along else tensor))
        parts.append(_numpy(product.sum(along) if along else product))
        margins.append(_numpy(margin))
    return _Side(np.concatenate(activations), np.concatenate(parts), np.concatenate(margins))


def _numpy(tensor: torch.Tensor) -> Floats:
    return np.asarray(tensor.detach().double().cpu().numpy(), np.float64)
