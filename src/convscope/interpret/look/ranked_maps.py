"""The feature maps of a look: ranked by contribution, a channel is replaced by its mean over the run's images."""

from __future__ import annotations

from dataclasses import replace

from convscope.data.batches import Batches
from convscope.errors import ConvscopeError
from convscope.interpret.behaviour.labelled_images import replay_batch
from convscope.interpret.features.channel_means import ChannelMeans, channel_moments
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.features.feature_maps_record import FeatureMaps
from convscope.interpret.features.observed import AxesOfMaps, first_observed
from convscope.interpret.look.options import LookOptions
from convscope.interpret.replay.on_images import images_at_once, on_pixels
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, no_progress
from convscope.report.units import plural
from convscope.runs.run_images import own_images

IMAGES = 256
"""Images of the run over which the mean of a channel is taken."""


def ranked_maps(
    given: Subject, options: LookOptions, target: int | str | None, progress: Progress = no_progress
) -> FeatureMaps:
    """Return the feature maps of a layer; by contribution with the channel at its mean, where there is a run.

    Raises:
        CaptureError: there is no such layer, or it has no channels.
        GeometryError: there is no such page.
    """
    means: ChannelMeans | None = None
    why = ""
    if options.ranking == "contribution":
        try:
            means = _means(given, options.layer or first_observed(given.replay.names), progress)
            why = "" if means is not None else f"{given.name} is no run, so there are no images to take a mean over"
        except ConvscopeError as error:
            why = str(error)
    found = feature_maps(
        given,
        options.layer or "",
        ranking=options.ranking,
        target=target,
        means=means,
        page=options.page,
        per_page=options.maps,
        scale=options.scale,
        progress=progress,
    )
    return replace(found, notes=(*found.notes, f"channels are replaced by 0 alone: {why}")) if why else found


def _means(given: Subject, layer: str, progress: Progress) -> ChannelMeans | None:
    """Return the means of a layer's channels over images of the network's run; None where it has no run.

    Raises:
        DataError: its images are gone.
    """
    if given.run is None or given.spec is None:
        return None
    split, images = own_images(given.run, progress=progress)
    some = images.spaced(IMAGES)
    replays, run = on_pixels(given.replays), given.replay
    normalization = given.spec.normalization
    size = images_at_once(replays, some, normalization, replay_batch(run.graph, len(some)))
    batches = Batches(some, batch_size=size, device=replays.device, normalization=normalization)
    axes = AxesOfMaps(run.names).of(run.find(layer))
    if axes.channels is None:
        return None
    values, _ = channel_moments(replays, batches, layer, axes, progress=progress)
    return ChannelMeans(values=values, data=f"{plural(len(some), 'image')} of {given.run.recipe().data}, {split}")
