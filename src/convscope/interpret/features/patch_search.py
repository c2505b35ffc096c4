"""The images of a data set that excite each channel of each layer most, in one forward pass over them.

Of each layer and image only the largest value of each channel is taken, by one reduction over positions; where in the
map it is, is looked up for the few that are kept. So the pass costs little beside the network, and its memory is that
of a forward pass and of the values that are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convscope.arrays import Floats, Integers
from convscope.interpret.features.observed import AxesOfMaps, MapAxes, ObservedLayer, observed_by_image
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress, no_progress
from convscope.report.short_repr import ShortRepr

KEPT = 9  # of each channel
_NONE = -1


@dataclass(frozen=True, eq=False, repr=False)
class LayerMaxima(ShortRepr):
    """The largest values of one layer's channels, of each channel the largest first.

    Args:
        layer: where they are from.
        rows: of the images, (C, k); -1 where there were fewer images.
        places: where in the map, (C, k, axes of positions).
        values: (C, k); NaN where there were fewer images.
        not_finite: values of images and channels that were left out since no number of the map was finite.
    """

    layer: ObservedLayer
    rows: Integers
    places: Integers
    values: Floats
    not_finite: int = 0

    def headline(self) -> str:
        """Return the layer, its channels, and how many images are kept of each."""
        return f"{self.layer.name}: {self.layer.channels:,} channels, {self.rows.shape[1]} images each"


def search_maxima(
    replays: Replays,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    *,
    layers: Sequence[str] = (),
    kept: int = KEPT,
    total: int = 0,
    progress: Progress = no_progress,
) -> tuple[tuple[LayerMaxima, ...], int]:
    """Return for each channel of each layer the images with the largest value of it, and how many images there were.

    An image is among those of a channel at most once.

    Equal values are in the order of the images' rows; of equal values in one map the first position counts.

    Args:
        replays: the network.
        batches: the images in order, as inputs (N, C, *S), and their rows (N,).
        layers: by name; all that `observed_by_image` finds unless given.
        kept: how many images of each channel.
        total: images in all, for the progress.
        progress: called after each batch.

    Raises:
        CaptureError: there is no such layer, or the network does not run on the images.
        KeyboardInterrupt: the pass was stopped before the first batch was done; later, what is there is returned.
    """
    searches: list[_Search] = []
    done = 0
    try:
        for inputs, rows in batches:
            if not searches:
                _, names = replays.graph_on(inputs[:1])
                axes = AxesOfMaps(names)
                searches = [_Search(found, axes.of(found.value), kept) for found in observed_by_image(names, layers)]
            by_name = {search.layer.name: search for search in searches}
            with torch.inference_mode():
                for name, numbers in replays.values_as_they_come(inputs, wanted=tuple(by_name)):
                    by_name[name].add(numbers, rows)
            done += len(rows)
            progress(done, total, "searching top patches")
    except KeyboardInterrupt:
        if not done:
            raise
    return tuple(search.result() for search in searches), done


class _Search:
    """The images kept so far of one layer."""

    def __init__(self, layer: ObservedLayer, axes: MapAxes, kept: int) -> None:
        assert axes.channels is not None
        self.layer, self._axes, self._channels = layer, axes, axes.channels
        self._values = torch.full((layer.channels, kept), -torch.inf, dtype=torch.float32)
        self._rows = torch.full((layer.channels, kept), _NONE)
        self._places = torch.full((layer.channels, kept), _NONE)  # flat, over the axes of positions
        self._not_finite = 0

    def add(self, numbers: torch.Tensor, rows: torch.Tensor) -> None:
        """Take the largest values of a batch, (N, ...), of images with these rows."""
        self._values = self._values.to(torch.promote_types(numbers.dtype, torch.float32))
        largest = self._largest(numbers)
        if not bool(torch.isfinite(largest).all()):
            numbers = torch.where(numbers.isfinite(), numbers, -torch.inf)
            largest = self._largest(numbers)
            self._not_finite += int((largest == -torch.inf).sum())
        # Equal to the last that is kept is too late: an earlier image has it.
        better = largest > self._values[:, -1]
        channels = better.any(dim=0).nonzero().squeeze(1)
        if not len(channels):
            return
        found = largest[:, channels].T
        values = torch.cat([self._values[channels], found], dim=1)
        every = torch.cat([self._rows[channels], rows.expand(len(channels), -1)], dim=1)
        kept = self._values.shape[1]
        order = _largest_first(values, kept)
        values = values.gather(1, order)
        # An image without a finite number is none of the largest.
        new = (order >= kept) & (values > -torch.inf)
        places = self._places[channels].gather(1, order.clamp(max=kept - 1))
        which, slot = new.nonzero(as_tuple=True)
        places[which, slot] = self._places_of(numbers, order[which, slot] - kept, channels[which])
        known = every.gather(1, order)
        known[values == -torch.inf] = _NONE
        self._values[channels], self._rows[channels], self._places[channels] = values, known, places

    def result(self) -> LayerMaxima:
        """Return what is kept."""
        values = self._values.double().numpy()
        values[self._rows.numpy() == _NONE] = np.nan
        flat, sizes = self._places.numpy(), self.layer.positions
        places = np.stack(np.unravel_index(flat.clip(0), sizes), axis=-1) if sizes else np.zeros((*flat.shape, 0), int)
        places = np.where(flat[..., None] == _NONE, _NONE, places)
        return LayerMaxima(self.layer, self._rows.numpy(), places, values, self._not_finite)

    def _largest(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the largest number of each image's channels, (N, C)."""
        found = numbers.amax(dim=self._axes.positions) if self._axes.positions else numbers
        return found.to(self._values.dtype)

    def _places_of(self, numbers: torch.Tensor, images: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        """Return where in its map the largest number of each pair of an image and a channel is, flat."""
        if not self._axes.positions:
            return torch.zeros(len(images), dtype=torch.int64)
        return numbers.permute(self._axes.order())[images, channels].flatten(1).argmax(dim=1)


def _largest_first(values: torch.Tensor, count: int) -> torch.Tensor:
    """Return where the largest numbers of each row are, (C, count), the largest first; of equal ones the first ones."""
    if values.dtype != torch.float32:
        return torch.sort(values, dim=1, descending=True, stable=True).indices[:, :count]
    # As whole numbers in the same order, with the column in the lowest bits, no two are equal: few of them are then
    # found without sorting all. Adding 0 makes a negative zero equal to zero.
    bits = (values + 0.0).view(torch.int32)
    ranks = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    columns = torch.arange(values.shape[1] - 1, -1, -1)
    return torch.topk(ranks * values.shape[1] + columns, count, dim=1).indices
