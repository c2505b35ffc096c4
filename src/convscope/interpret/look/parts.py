"""The parts of a look, each yielded when it is ready, the quick ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from convscope.data.records import SEVERAL, ImageSet
from convscope.errors import CaptureError, ConvscopeError, DataError
from convscope.interpret.attribution.checks.check import check_attributions
from convscope.interpret.attribution.methods import attribute, find_method
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.feature_visualization import CHANNELS, feature_visualization
from convscope.interpret.behaviour.image_robustness import image_robustness
from convscope.interpret.behaviour.visualization_record import FeatureVisualization
from convscope.interpret.effective_field.effective_fields import effective_fields
from convscope.interpret.effective_field.record import EffectiveFields
from convscope.interpret.equivariance.meter import subject_equivariance
from convscope.interpret.equivariance.record import Equivariance
from convscope.interpret.features.channels_at import channels_at
from convscope.interpret.features.feature_maps import FeatureMaps, feature_maps
from convscope.interpret.features.filters import LayerFilters, filters
from convscope.interpret.features.observed import checked_channels, sample_maps
from convscope.interpret.look.options import LookOptions, layer_and_channels
from convscope.interpret.look.record import LookPart
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, ProgressOption, progress_of
from convscope.report.short_repr import image_label
from convscope.runs.run_images import own_images


def require_parts(given: Subject, options: LookOptions) -> None:
    """Raise, before the work begins, where a layer, a position or a channel that is asked for is not there.

    Raises:
        ArgumentError: no such method.
        CaptureError: no such layer; the message has the nearest names.
        GeometryError: no such position or channel.
    """
    for name in options.methods:
        find_method(name)
    if options.layer is not None:
        given.replay.find(options.layer)
    if options.at is not None:
        channels_at(given, options.layer or "", options.at)
    if options.visualize is not None:
        layer, channels = layer_and_channels(options.visualize)
        checked_channels(channels, len(sample_maps(given.replay, given.replay.find(layer), of=layer)), layer)


def parts(given: Subject, options: LookOptions, progress: ProgressOption) -> Iterator[LookPart | str]:
    """Yield each part when it is ready; of what the network does not have, why, as a text.

    Raises:
        KeyboardInterrupt: one of them was interrupted, after what there is of it.
    """
    yield from _part("filters", lambda _: _filters(given, options.layer), progress)
    yield from _part("feature maps", lambda report: _maps(given, options, report), progress, asked=options.page > 1)
    yield from _part(
        "channels at one position", lambda _: channels_at(given, options.layer or "", options.at), progress,
        asked=options.at is not None,
    )  # fmt: skip
    attributions: list[Attribution] = []
    for name in options.methods:
        for part in _part(name, lambda report, name=name: _attribution(given, name, options, report), progress):  # type: ignore[misc]
            attributions += [part] if isinstance(part, Attribution) else []
            yield part
    if options.checks and attributions:
        with progress_of(progress) as report:
            checks = check_attributions(given, attributions, seed=options.seed, progress=report)
        yield from checks
    if options.robustness:
        yield from _part("robustness", lambda report: image_robustness(given, progress=report), progress)
    if options.equivariance:
        yield from _part("equivariance", lambda report: _equivariance(given, report), progress)
    if options.visualize is not None:
        text = options.visualize
        yield from _part("visualization", lambda report: _visualization(given, text, options.seed, report), progress)
    if options.fields:
        yield from _part("effective fields", lambda report: _fields(given, options.seed, report), progress)


def _part(
    what: str, compute: Callable[[Progress], LookPart], progress: ProgressOption, *, asked: bool = False
) -> Iterator[LookPart | str]:
    """Yield one part, or why the network has none; with `asked`, that is an error."""
    try:
        with progress_of(progress) as report:
            part = compute(report)
    except ConvscopeError as error:
        if asked:
            raise
        yield f"{what} left out: {error}"
        return
    yield part
    if _was_interrupted(part):  # the part kept what was ready: so does the look
        raise KeyboardInterrupt


def _was_interrupted(part: LookPart) -> bool:
    match part:
        case FeatureVisualization() | Attribution():
            return part.interrupted
        case Equivariance():
            return len(part.shifts) < part.planned
        case EffectiveFields():
            return any(note.lower().startswith("interrupted") for note in part.notes)
    return False


def _filters(given: Subject, layer: str | None) -> LayerFilters:
    """Return the filters of the layer, or of the first layer where it has none."""
    try:
        return filters(given.replay, layer or "")
    except CaptureError:
        if layer is None:
            raise
        return filters(given.replay)


def _maps(given: Subject, options: LookOptions, progress: Progress) -> FeatureMaps:
    return feature_maps(
        given,
        options.layer or "",
        ranking=options.ranking,
        target=options.target,
        page=options.page,
        per_page=options.maps,
        scale=options.scale,
        progress=progress,
    )


def _attribution(given: Subject, name: str, options: LookOptions, progress: Progress) -> Attribution:
    layer = options.layer if "layer" in find_method(name).takes else None
    return attribute(given, name, target=options.target, options=AttributionOptions(layer=layer, progress=progress))


def _equivariance(given: Subject, progress: Progress) -> Equivariance:
    return replace(subject_equivariance(given, progress=progress), network=given.name)


def _fields(given: Subject, seed: int, progress: Progress) -> EffectiveFields:
    found = effective_fields(given.network, given.tensor, seed=seed, progress=progress)
    return replace(found, network=given.name)


def _visualization(given: Subject, text: str, seed: int, progress: Progress) -> FeatureVisualization:
    """Return pictures that excite channels, beside the run's images; of a network without a run, beside the image."""
    layer, channels = layer_and_channels(text)
    maps = sample_maps(given.replay, given.replay.find(layer), of=layer)
    if not channels:
        channels = feature_maps(given, layer, per_page=CHANNELS).shown
    normalization = given.normalization
    if given.pixels is None or normalization is None:
        raise DataError(f"{given.image_name} is no image of 8 bits, so that no picture is made of its kind")
    data, images = _images(given, progress)
    single = given.tensor.dtype in (torch.float32, torch.float64)
    replays = given.replays if single else given.replays.computed_in(torch.float32)
    found = feature_visualization(
        replays, images, normalization, layer=layer, channels=channels, data=data, seed=seed, progress=progress
    )
    own = np.array([float(np.max(maps[channel])) for channel in channels])
    return replace(found, network=given.name, image_name=given.image_name, own=own)


def _images(given: Subject, progress: Progress) -> tuple[str, ImageSet]:
    """Return the images of the network's run, with their name; the image alone where it has no run."""
    if given.run is not None:
        name, images = own_images(given.run, progress=progress)
        return f"{given.run.recipe().data}, {name}", images
    pixels = np.ascontiguousarray(given.pixels)[None]
    return f"{image_label(given.image_name)} alone", ImageSet(pixels, np.array([SEVERAL]), [given.image_name])
