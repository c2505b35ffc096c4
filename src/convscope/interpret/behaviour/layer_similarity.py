"""How alike the layers of two networks are: two runs, two epochs, two seeds, or one network with itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet, Pixels
from convscope.errors import CaptureError, DataError
from convscope.interpret.behaviour.labelled_images import replay_batch
from convscope.interpret.behaviour.linear_cka import SMALLEST_BATCH, LinearCka, gram
from convscope.interpret.behaviour.similarity_record import LayerSimilarity
from convscope.interpret.features.observed import observed_by_image
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress
from convscope.report.units import plural

_BATCH = 128  # images whose products with one another are kept, of every layer


def layer_similarity(
    first: Replays,
    second: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    second_normalization: Normalization | None = None,
    layers: Sequence[str] = (),
    second_layers: Sequence[str] | None = None,
    data: str = "the images",
    batch_size: int | None = None,
    progress: Progress = no_progress,
) -> LayerSimilarity:
    """Return linear CKA of every pair of layers of two networks on the same images, in one pass.

    Interrupted, it is of the images that were gone through. A last batch of fewer than 4 images is left out.

    Args:
        first: a network, such as a run's best weights.
        second: another, such as another epoch's or seed's; the same object compares a network's layers among
            themselves.
        images: the data set; labels are not read.
        normalization: of the first network's input.
        second_normalization: of the second's; the same unless given.
        layers: names in the first network; the outputs of all layers with weights unless given.
        second_layers: names in the second; as `layers` unless given.
        data: what to call the images.
        batch_size: images in a batch, at least 4; 128, or fewer for large networks, unless given.
        progress: called after each batch.

    Raises:
        DataError: fewer than 4 images, or such a batch size.
        CaptureError: no such layer, none with weights, or a network does not run on the images.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.arange(20) % 3, [""] * 20)
    >>> replays = Replays(network)
    >>> layer_similarity(replays, replays, given, Normalization.default(1)).similarity.diagonal().round(6).tolist()
    [1.0, 1.0]
    """
    least = len(images) if batch_size is None else min(batch_size, len(images))
    if least < SMALLEST_BATCH:
        what = f"{plural(len(images), 'image')} of {data}" if batch_size is None else f"a batch of {least}"
        raise DataError(f"{what}: CKA needs at least {SMALLEST_BATCH}")
    sides = (
        _ComparedSide(first, normalization, tuple(layers)),
        _ComparedSide(
            second, second_normalization or normalization, tuple(layers if second_layers is None else second_layers)
        ),
    )
    pixels = np.asarray(images.images[np.arange(1)])
    (rows, one), (columns, other) = (side.layers_and_batch(pixels, len(images)) for side in sides)
    alone = first is second and rows == columns and sides[0].normalization == sides[1].normalization
    size = batch_size or max(SMALLEST_BATCH, min(_BATCH, one, other))
    sums = LinearCka(rows, columns)
    try:
        for start in range(0, len(images) - SMALLEST_BATCH + 1, size):
            pixels = np.asarray(images.images[np.arange(start, min(start + size, len(images)))])
            grams = sides[0].grams(pixels, rows)
            sums.add(grams, grams if alone else sides[1].grams(pixels, columns))
            progress(sums.images, len(images), "comparing layers")
    except KeyboardInterrupt:
        if not sums.images:
            raise
    return LayerSimilarity(
        first=first.name,
        second=second.name,
        data=data,
        images=sums.images,
        planned=len(images),
        rows=rows,
        columns=columns,
        similarity=sums.similarity,
    )


@dataclass(frozen=True)
class _ComparedSide:
    """One of two networks, with its own normalization of the images, and the layers that were asked for."""

    replays: Replays
    normalization: Normalization
    asked: tuple[str, ...]

    def layers_and_batch(self, pixels: Pixels, images: int) -> tuple[tuple[str, ...], int]:
        """Return the names of the layers that are compared, and how many of the images it takes at once."""
        graph, names = self.replays.graph_on(to_floats(pixels, self.normalization, device=self.replays.device))
        layers = tuple(found.name for found in observed_by_image(names, self.asked))
        if not layers:
            raise CaptureError(f"{graph.name} has no layer with weights to compare: name some layers")
        return layers, replay_batch(graph, images)

    def grams(self, pixels: Pixels, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return of each layer the products of a batch's images with one another."""
        batch = to_floats(pixels, self.normalization, device=self.replays.device)
        return {name: gram(values) for name, values in self.replays.values_as_they_come(batch, wanted=layers)}
