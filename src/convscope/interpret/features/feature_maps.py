"""Feature maps: what each channel of a layer computes of one image, the most active or most decisive channels first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch

from convscope.arrays import Floats
from convscope.errors import GeometryError, did_you_mean
from convscope.interpret.features.channel_means import ChannelMeans
from convscope.interpret.features.contribution import contributions, gradient_times_activation
from convscope.interpret.features.feature_maps_record import PAGE, FeatureMaps
from convscope.interpret.features.map_choices import ChannelRanking, ScaleOf
from convscope.interpret.features.observed import (
    checked_channels,
    first_axis_notes,
    first_observed,
    observed_layers,
    sample_maps,
)
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, no_progress
from convscope.report.units import plural, shape


def feature_maps(
    subject: Subject,
    layer: str = "",
    *,
    ranking: ChannelRanking = "energy",
    target: int | str | None = None,
    means: ChannelMeans | None = None,
    channels: Sequence[int] = (),
    page: int = 1,
    per_page: int = PAGE,
    scale: ScaleOf = "layer",
    progress: Progress = no_progress,
) -> FeatureMaps:
    """Return the maps of a layer's channels on an image, ranked.

    Args:
        subject: the network and the image.
        layer: a layer or operation by name; the first layer with weights, after its activation, unless given.
        ranking: "energy" (mean square), "contribution" (by how much the class's score falls when the channel is at
            its mean over a data set, or 0 where none is given), "gradient" (gradient times activation, summed), or
            "order" (by number). The measures of a class's score may be negative; channels are ranked by their absolute
            value.
        target: the class of the score, by number or name; the predicted one unless given.
        means: of the layer's channels, for their contributions; 0 replaces a channel unless given.
        channels: only these, in this order.
        page: which part of the channels is drawn, from 1.
        per_page: how many are drawn at once.
        scale: what has one colour scale: each "map", the "layer", or the "network", of which all layers are computed.
        progress: of the contributions.

    Raises:
        CaptureError: there is no such layer; the message has the nearest names. Or it has no channels.
        GeometryError: no such class, channel, page, ranking or scale.

    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU())
    >>> image = Subject(network=network, name="small", image_name="noise", tensor=torch.randn(1, 1, 12, 12))
    >>> found = feature_maps(image, "1", channels=(5, 2))
    >>> found.maps.shape, found.shown
    ((8, 10, 10), (5, 2))
    """
    _require_one_of("ranking", ranking, get_args(ChannelRanking))
    _require_one_of("scale", scale, get_args(ScaleOf))
    run = subject.replay
    layer = layer or first_observed(run.names)
    value = run.find(layer)
    maps = sample_maps(run, value, of=layer)
    if maps[0].size == 1:
        maps = maps.reshape(len(maps))
    by_score = ranking in ("contribution", "gradient")
    number = subject.target(target) if by_score or target is not None else 0
    measures, at_zero = _measures(subject, value, maps, ranking, number, means, progress)
    strength = np.where(np.isnan(measures), np.inf, np.abs(measures))
    order = np.arange(len(maps)) if ranking == "order" else np.argsort(-strength, kind="stable")
    chosen = checked_channels(channels, len(maps), layer) or tuple(int(channel) for channel in order)
    _require_page(len(chosen), layer, page, per_page)
    return FeatureMaps(
        network=subject.name,
        image_name=subject.image_name,
        layer=layer,
        maps=maps,
        ranking=ranking,
        measures=measures,
        at_zero=at_zero,
        means_of="" if means is None or at_zero is None else means.data,
        order=chosen,
        page=page,
        per_page=per_page,
        target=subject.class_name(number) if by_score else "",
        scale=scale,
        network_range=_network_range(subject) if scale == "network" else None,
        picture=subject.pixels,
        notes=(*subject.notes, *first_axis_notes(run, value, of=layer), *_notes(layer, maps)),
    )


def _measures(
    subject: Subject,
    value: int,
    maps: Floats,
    ranking: ChannelRanking,
    target: int,
    means: ChannelMeans | None,
    progress: Progress,
) -> tuple[Floats, Floats | None]:
    """Return the measure of each channel; of a contribution by the mean also the fall of the score at 0."""
    if ranking == "contribution":
        at_zero = contributions(subject, value, target, progress=progress)
        if means is None:
            return at_zero, None
        return contributions(subject, value, target, levels=means.values, progress=progress), at_zero
    if ranking == "gradient":
        return gradient_times_activation(subject, value, target), None
    return np.array([float(np.mean(np.square(one))) for one in maps]), None


def require_page(subject: Subject, layer: str, *, page: int, per_page: int) -> None:
    """Raise, before any map is ranked, where a layer has no such page of feature maps.

    Args:
        subject: the network and the image.
        layer: as of `feature_maps`.
        page: from 1.
        per_page: how many maps a page has.

    Raises:
        CaptureError: there is no such layer, or it has no channels.
        GeometryError: there is no such page.
    """
    layer = layer or first_observed(subject.replay.names)
    _require_page(len(sample_maps(subject.replay, subject.replay.find(layer), of=layer)), layer, page, per_page)


def _require_page(count: int, layer: str, page: int, per_page: int) -> None:
    pages = max(1, -(-count // max(1, per_page)))
    if not 1 <= page <= pages or per_page < 1:
        raise GeometryError(
            f"there is no page {page} of feature maps: the {plural(count, 'channel')} of {layer} fill "
            f"{plural(pages, 'page')} of {per_page}"
        )


def _network_range(subject: Subject) -> tuple[float, float]:
    ends: list[float] = []
    for found in observed_layers(subject.replay.names):
        values = subject.replay.tensor(found.value).detach()
        least, largest = values.aminmax()
        if not bool(torch.isfinite(least) & torch.isfinite(largest)):  # NaN is both
            finite = values[values.isfinite()]
            if not finite.numel():
                continue
            least, largest = finite.aminmax()
        ends += [float(least), float(largest)]
    return min(ends, default=0.0), max(ends, default=0.0)


def _notes(layer: str, maps: Floats) -> list[str]:
    notes = []
    missing = int(maps.size - np.isfinite(maps).sum())
    if missing:
        notes.append(f"{missing:,} of {maps.size:,} values of {layer} are not finite: they are hatched")
    if maps.ndim > 3:
        notes.append(f"{layer} has maps of {shape(maps.shape[1:])}: of each the middle slice is drawn")
    return notes


def _require_one_of(name: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise GeometryError(f"{name} {given!r} is none of {', '.join(known)}.{did_you_mean(given, known)}")
