"""Feature visualisation: a picture that excites a channel, by gradient ascent, beside what excites it in the data.

A picture that reaches less than the best image of the data set explains nothing of the channel: the activation it
reaches is given as a share of the data set's largest, and the top patches are shown beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.attribution.batches import is_faster_in_bf16
from convscope.interpret.behaviour.fourier_image import FourierImages, colour_statistics
from convscope.interpret.behaviour.gradient_ascent import GradientAscent
from convscope.interpret.behaviour.visualization_record import FeatureVisualization
from convscope.interpret.features.observed import checked_channels, observed_by_image
from convscope.interpret.features.top_patches import TopPatches, top_patches
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress

SIDE = 128
STEPS = 128
CHANNELS = 4


def feature_visualization(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    layer: str,
    channels: Sequence[int] = (),
    steps: int = STEPS,
    patches: TopPatches | None = None,
    data: str = "the images",
    seed: int = 0,
    progress: Progress = no_progress,
) -> FeatureVisualization:
    """Return pictures that excite channels of a layer, with the activation reached against the data set's maximum.

    Pictures are of 128 x 128 pixels, or of the images' size where that is smaller or the network takes no other, and
    are optimised together, in bf16 where the processor multiplies it; the activations reached are the network's own in
    its precision. It stops by itself when the activations stop growing. Interrupted, it returns the pictures as they
    are.

    Args:
        replays: the network.
        images: a data set, for its colours and the largest activations.
        normalization: of the network's input.
        layer: a layer or operation whose output has channels.
        channels: by number; the first four unless given.
        steps: of gradient ascent at most.
        patches: of this layer on these images, where they were searched before.
        data: what to call the images.
        seed: of the start and of the movements.
        progress: called after each step.

    Raises:
        DataError: no images.
        CaptureError: no such layer, one without channels, or one that has no gradient.
        GeometryError: no such channel, or fewer than 1 step.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.zeros(20, np.int64), [""] * 20)
    >>> found = feature_visualization(Replays(network), given, Normalization.default(1), layer="1", steps=8)
    >>> found.pictures.shape, found.reached.shape
    ((4, 8, 8, 1), (4,))
    """
    if not len(images):
        raise DataError(f"there are no images in {data}, so no activation is known to compare with")
    if steps < 1:
        raise GeometryError(f"{steps} steps: give at least 1")
    pixels = np.asarray(images.images[np.arange(1)])
    first = to_floats(pixels, normalization, device=replays.device)
    graph, names = replays.graph_on(first)
    (observed,) = observed_by_image(names, [layer])
    chosen = checked_channels(channels, observed.channels, layer) or tuple(range(min(CHANNELS, observed.channels)))
    if patches is None:
        patches = top_patches(replays, images, normalization, layers=[observed.name], data=data, progress=progress)
    mean, colours = colour_statistics(images)
    size = _size(replays, images, normalization, observed.name)
    made = FourierImages(len(chosen), size, mean=mean, colours=colours, seed=seed, device=replays.device)
    fast = replays.in_bf16 if is_faster_in_bf16(graph, first) else replays
    ascent = GradientAscent(fast, made, normalization, observed.name, chosen, seed)
    interrupted = ascent.climb(steps, progress, f"visualizing {layer}")
    levels, reached = ascent.result(replays)
    of_layer = patches.of_layer(observed.name, chosen)
    return FeatureVisualization(
        network=graph.name,
        data=data,
        layer=layer,
        channels=chosen,
        pictures=np.asarray((levels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()),
        reached=reached,
        largest=np.array(of_layer.maxima.values[list(chosen), 0], np.float64),
        growth=np.array(ascent.means),
        steps=steps,
        interrupted=interrupted,
        patches=of_layer,
    )


def _size(replays: Replays, images: ImageSet, normalization: Normalization, layer: str) -> tuple[int, int]:
    """Return the pictures' height and width: at most 128, or the images' where the network takes no smaller ones."""
    _, height, width, channels = images.images.shape
    smaller = min(height, SIDE), min(width, SIDE)
    if smaller != (height, width):
        try:
            blank = to_floats(np.zeros((1, *smaller, channels), np.uint8), normalization, device=replays.device)
            graph, names = replays.graph_on(blank)
            if 0 not in graph.shape(names.find_source(layer)):
                return smaller
        except CaptureError:
            pass
    return height, width
