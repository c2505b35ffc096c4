"""The mean of each channel of a layer over a data set: what replaces a channel that is knocked out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays import Floats
from convscope.data.batches import Batches
from convscope.interpret.features.observed import MapAxes
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress


@dataclass(frozen=True, kw_only=True)
class ChannelMeans:
    """The mean of each channel of a layer over images and positions.

    Args:
        values: (C,).
        data: the name of the images.
    """

    values: Floats
    data: str


def channel_moments(
    replays: Replays, batches: Batches, layer: str, axes: MapAxes, *, progress: Progress = no_progress
) -> tuple[Floats, Floats]:
    """Return the mean and standard deviation of each channel over images and positions, (C,) each, in one pass.

    Args:
        replays: the network.
        batches: the images.
        layer: the name of a layer or operation whose output has channels.
        axes: of that output.
        progress: called after each batch.
    """
    count = 0
    total: Floats | float = 0.0
    squares: Floats | float = 0.0
    done, images = 0, len(batches.image_set)
    assert axes.channels is not None
    for pixels, _, _ in batches:
        for _, values in replays.values_as_they_come(pixels, wanted=[layer]):
            columns = values.movedim(axes.channels, -1).flatten(0, -2).double()
            count += len(columns)
            total = total + columns.sum(0).cpu().numpy()
            squares = squares + columns.square().sum(0).cpu().numpy()
        done += len(pixels)
        progress(done, images, f"means of {layer}")
    mean = np.asarray(total / count, np.float64)
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0))
