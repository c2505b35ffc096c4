"""Knock out channels: put their mean over the data, or zero, in their place, and see which classes suffer.

Zero is what pruning does; it may lie far from every value that the channel takes, and then what follows computes on
numbers that no image gives. The mean carries nothing of the image either, and lies among the channel's values: read its
column first (Morcos et al. 2018, "On the importance of single directions for generalization", section 2.3, compare
both).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from convscope.arrays import Floats, Integers
from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.graph.records import Graph
from convscope.graph.vocabulary import CENTRING, NORMALIZATIONS
from convscope.interpret.behaviour.knock_out_record import KnockedOut, KnockOut
from convscope.interpret.behaviour.labelled_images import (
    class_names,
    predictions,
    replay_batch,
    require_labels,
)
from convscope.interpret.behaviour.network_tail import Tail
from convscope.interpret.features.channel_means import channel_moments
from convscope.interpret.features.observed import AxesOfMaps, checked_channels, observed_of
from convscope.interpret.replay.on_images import first_input, images_at_once
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress


def channel_knock_out(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    layer: str,
    channels: Sequence[int] = (),
    together: bool = False,
    data: str = "the images",
    classes: Sequence[str] = (),
    batch_size: int | None = None,
    progress: Progress = no_progress,
) -> KnockOut:
    """Return how many images of each class are right with channels of a layer replaced by their mean, and by zero.

    Two passes: one for the means, up to the layer; in the second what leads to the layer is computed once for all
    channels of a batch. Interrupted in the second, it is of the images that were gone through.

    Args:
        replays: the network.
        images: with one label each.
        normalization: of the network's input.
        layer: the name of a layer or operation whose output has channels: of a convolution it is before its
            normalization, `relu` is after it.
        channels: by number; all unless given.
        together: knock them out at once, rather than one after the other: without `channels`, the whole layer.
        data: what to call the images.
        classes: names of the network's classes.
        batch_size: images in a forward pass; by the memory that one takes unless given.
        progress: called after each batch.

    Raises:
        DataError: no images, or such as have not one class of the network's each.
        CaptureError: no such layer, one without channels, or one that the scores do not depend on.
        GeometryError: no such channel.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.arange(20) % 3, [""] * 20)
    >>> found = channel_knock_out(Replays(network), given, Normalization.default(1), layer="1")
    >>> len(found.knocked), found.right_mean.shape
    (4, (4, 3))
    """
    if not len(images):
        raise DataError(f"there are no images in {data}")
    one = first_input(replays, images, normalization)
    graph, names = replays.graph_on(one)
    (observed,) = observed_of(names, [layer])
    count = int(replays.class_scores(one).shape[1])
    require_labels(images, count, data=data)
    chosen = checked_channels(channels, observed.channels, layer) or tuple(range(observed.channels))
    groups = [chosen] if together else [(channel,) for channel in chosen]
    size = images_at_once(replays, images, normalization, batch_size or replay_batch(graph, len(images)))
    batches = Batches(images, batch_size=size, device=replays.device, normalization=normalization)
    means, deviations = channel_moments(
        replays, batches, layer, AxesOfMaps(names).of(observed.value), progress=progress
    )
    found = _Counts(len(groups), count)
    try:
        for pixels, labels, _ in batches:
            found.add(Tail(replays, layer, pixels), means, groups, labels.cpu().numpy())
            progress(int(found.images.sum()), len(images), f"knocking out channels of {layer}")
    except KeyboardInterrupt:
        if not found.images.sum():
            raise
    return KnockOut(
        network=graph.name,
        data=data,
        layer=layer,
        planned=len(images),
        classes=class_names(classes, count),
        knocked=tuple(
            KnockedOut(group, changed_mean=int(mean), changed_zero=int(zero))
            for group, mean, zero in zip(groups, *found.changed, strict=True)
        ),
        images_of_class=found.images,
        right=found.right,
        right_mean=found.replaced[0],
        right_zero=found.replaced[1],
        means=means,
        deviations=deviations,
        normalized_by=_normalization_after(graph, observed.value),
    )


class _Counts:
    """Right predictions by class: as the network is, and with each group of channels replaced."""

    def __init__(self, groups: int, classes: int) -> None:
        self.images: Integers = np.zeros(classes, np.int64)
        self.right: Integers = np.zeros(classes, np.int64)
        self.replaced: tuple[Integers, Integers] = (
            np.zeros((groups, classes), np.int64), np.zeros((groups, classes), np.int64)
        )  # fmt: skip
        self.changed: tuple[Integers, Integers] = (np.zeros(groups, np.int64), np.zeros(groups, np.int64))

    def add(self, tail: Tail, means: Floats, groups: Sequence[Sequence[int]], labels: Integers) -> None:
        """Add a batch; counted at its end, so that an interrupt leaves whole batches."""
        classes = len(self.images)
        own = predictions(tail.class_scores(tail.value))
        found = [predictions(tail.class_scores(numbers)) for numbers in _replaced(tail, means, groups)]
        self.images += np.bincount(labels, minlength=classes)
        self.right += np.bincount(labels[own == labels], minlength=classes)
        for number, predicted in enumerate(found):
            group, kind = divmod(number, 2)
            self.replaced[kind][group] += np.bincount(labels[predicted == labels], minlength=classes)
            self.changed[kind][group] += int((predicted != own).sum())


def _replaced(tail: Tail, means: Floats, groups: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    """Yield for each group the layer's numbers with its channels at their means, and at zero."""
    axis = tail.axes.channels
    assert axis is not None
    last = torch.from_numpy(means).to(tail.value)
    for group in groups:
        for levels in (last, torch.zeros_like(last)):
            numbers = tail.value.clone()
            at = torch.tensor(group, device=numbers.device)
            numbers.movedim(axis, -1)[..., at] = levels[at]
            yield numbers


def _normalization_after(graph: Graph, value: int) -> str:
    """Return the operation that normalizes a value next, such as "batch_norm"; "" where none does."""
    for reader in graph.consumers.get(value, ()):
        node = graph.nodes[reader]
        if node.op in NORMALIZATIONS | CENTRING:
            return node.op
    return ""
