"""The parts of a look, each yielded when it is ready, the quick ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from convscope.data.records import SEVERAL, ImageSet
from convscope.errors import CaptureError, ConvscopeError
from convscope.interpret.attribution.checks.check import check_attributions
from convscope.interpret.attribution.methods import attribute, find_method, require_method
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.feature_visualization import CHANNELS, feature_visualization
from convscope.interpret.behaviour.image_robustness import ImageRobustness, image_robustness
from convscope.interpret.behaviour.visualization_record import FeatureVisualization
from convscope.interpret.effective_field.effective_fields import effective_fields
from convscope.interpret.effective_field.record import EffectiveFields
from convscope.interpret.equivariance.meter import subject_equivariance
from convscope.interpret.equivariance.record import Equivariance
from convscope.interpret.features.channels_at import ChannelsAt, channels_at
from convscope.interpret.features.feature_maps import feature_maps, require_page
from convscope.interpret.features.feature_maps_record import FeatureMaps
from convscope.interpret.features.filters import LayerFilters, filters
from convscope.interpret.features.observed import checked_channels, sample_maps
from convscope.interpret.interrupts import Interrupts
from convscope.interpret.look.options import LookOptions, layer_and_channels
from convscope.interpret.look.ranked_maps import ranked_maps
from convscope.interpret.look.record import LookPart
from convscope.interpret.replay.on_images import on_pixels
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, ProgressOption, progress_of
from convscope.report.short_repr import image_label
from convscope.runs.built_in import built_in_of
from convscope.runs.run_images import own_images

CHECKS = "checks"


def require_parts(given: Subject, options: LookOptions) -> None:
    """Raise, before any part is computed, where what is asked for is not there.

    Raises:
        ArgumentError: no such method.
        CaptureError: no such layer; the message has the nearest names. Or Captum is asked for and is not installed.
        DataError: distortions or visualizations of an input that is no picture.
        GeometryError: no such page of feature maps, position or channel.
    """
    for name in options.methods:
        require_method(name)
    layer = options.layer or ""
    if options.layer is not None:
        given.replay.find(options.layer)
    if options.page > 1:
        require_page(given, layer, page=options.page, per_page=options.maps)
    if options.at is not None:
        channels_at(given, layer, options.at)
    if options.robustness:
        given.picture("distortions")
    if options.visualize is not None:
        of, channels = layer_and_channels(options.visualize)
        checked_channels(channels, len(sample_maps(given.replay, given.replay.find(of), of=of)), of)
        given.picture("visualizations")


def part_names(options: LookOptions) -> tuple[str, ...]:
    """Return the names of the parts that are asked for, in the order in which they are computed.

    >>> part_names(LookOptions(methods=("grad-cam",), robustness=True))
    ('filters', 'feature maps', 'channels at one position', 'grad-cam', 'checks', 'robustness')
    """
    asked = (
        (CHECKS, options.checks and bool(options.methods)),
        ("robustness", options.robustness),
        ("equivariance", options.equivariance),
        ("visualization", options.visualize is not None),
        ("effective fields", options.fields),
    )
    first = ("filters", "feature maps", "channels at one position", *options.methods)
    return (*first, *(name for name, wanted in asked if wanted))


def parts(
    given: Subject, options: LookOptions, progress: ProgressOption, interrupts: Interrupts
) -> Iterator[tuple[str, tuple[LookPart, ...] | str]]:
    """Yield the name of each part with what it is when it is ready: the checks of all attributions are one part.

    Of what the network does not have the reason is yielded, as a text.

    Raises:
        KeyboardInterrupt: a part was interrupted, after what there is of it.
    """
    attributions: list[Attribution] = []
    for name in part_names(options):
        if name == CHECKS and not attributions:
            continue
        found: tuple[LookPart, ...] | str
        try:
            with progress_of(progress) as report:
                found = _computed(name, given, options, attributions, interrupts.noting(report))
        except ConvscopeError as error:
            found = f"{name} left out: {error}"
        else:
            attributions += [part for part in found if isinstance(part, Attribution)]
        yield name, found
        interrupts.require_none()  # the part kept what was ready: so does the look


def _computed(
    name: str, given: Subject, options: LookOptions, attributions: list[Attribution], progress: Progress
) -> tuple[LookPart, ...]:
    if name == CHECKS:
        return check_attributions(given, attributions, seed=options.seed, progress=progress)
    compute = _PARTS.get(name)
    return (_attribution(given, name, options, progress) if compute is None else compute(given, options, progress),)


def _filters(given: Subject, options: LookOptions, progress: Progress) -> LayerFilters:
    """Return the filters of the layer, or of the first layer where it has none."""
    try:
        return filters(given.replay, options.layer or "")
    except CaptureError:
        if options.layer is None:
            raise
        return filters(given.replay)


def _maps(given: Subject, options: LookOptions, progress: Progress) -> FeatureMaps:
    return ranked_maps(given, options, options.target, progress)


def _channels(given: Subject, options: LookOptions, progress: Progress) -> ChannelsAt:
    return channels_at(given, options.layer or "", options.at)


def _attribution(given: Subject, name: str, options: LookOptions, progress: Progress) -> Attribution:
    layer = options.layer if "layer" in find_method(name).takes else None
    return attribute(given, name, target=options.target, options=AttributionOptions(layer=layer, progress=progress))


def _robustness(given: Subject, options: LookOptions, progress: Progress) -> ImageRobustness:
    return image_robustness(given, progress=progress)


def _equivariance(given: Subject, options: LookOptions, progress: Progress) -> Equivariance:
    return replace(subject_equivariance(given, progress=progress), network=given.name)


def _fields(given: Subject, options: LookOptions, progress: Progress) -> EffectiveFields:
    found = effective_fields(given.network, given.tensor, seed=options.seed, progress=progress)
    return replace(found, network=given.name)


def _visualization(given: Subject, options: LookOptions, progress: Progress) -> FeatureVisualization:
    """Return pictures that excite channels, beside the run's images; of a network without any, beside the image."""
    layer, channels = layer_and_channels(options.visualize or "")
    maps = sample_maps(given.replay, given.replay.find(layer), of=layer)
    if not channels:
        channels = feature_maps(given, layer, per_page=CHANNELS).shown
    _, normalization = given.picture("visualizations")
    data, images = _images(given, progress)
    found = feature_visualization(
        on_pixels(given.replays), images, normalization, layer=layer, channels=channels, data=data, seed=options.seed,
        progress=progress,
    )  # fmt: skip
    own = np.array([float(np.max(maps[channel])) for channel in channels])
    return replace(found, network=given.name, image_name=given.image_name, own=own)


def _images(given: Subject, progress: Progress) -> tuple[str, ImageSet]:
    """Return the images of the network's run, with their name; the image alone where it has none, as a built-in one."""
    if given.run is not None and built_in_of(given.run.path) is None:
        name, images = own_images(given.run, progress=progress)
        return f"{given.run.recipe().data}, {name}", images
    pixels = np.ascontiguousarray(given.pixels)[None]
    return f"{image_label(given.image_name)} alone", ImageSet(pixels, np.array([SEVERAL]), [given.image_name])


_PARTS: Mapping[str, Callable[[Subject, LookOptions, Progress], LookPart]] = {
    "filters": _filters,
    "feature maps": _maps,
    "channels at one position": _channels,
    "robustness": _robustness,
    "equivariance": _equivariance,
    "visualization": _visualization,
    "effective fields": _fields,
}
"""How each part is computed, by name; the others are methods of attribution and the checks."""
