"""The parts of what a network learned, in the order in which they are shown: the quick ones by default, all by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from convscope.data.batches import to_floats
from convscope.data.records import ImageSet, spaced_rows
from convscope.errors import ArgumentError, DataError, RunError, did_you_mean
from convscope.interpret.behaviour.confused_classes import confused_classes, last_map
from convscope.interpret.behaviour.failure_search import failure_search
from convscope.interpret.behaviour.feature_visualization import feature_visualization
from convscope.interpret.behaviour.knock_out import channel_knock_out
from convscope.interpret.behaviour.layer_similarity import layer_similarity
from convscope.interpret.behaviour.other_network import OtherNetwork
from convscope.interpret.behaviour.reliability import reliability
from convscope.interpret.effective_field.linear_probe import linear_probes
from convscope.interpret.effective_field.productivity import UnproductiveLayers, unproductive_layers
from convscope.interpret.equivariance.crop_pairs import prediction_consistency
from convscope.interpret.equivariance.meter import equivariance_of
from convscope.interpret.features.filters import LayerFilters, filters
from convscope.interpret.features.top_patches import TopPatches, top_patches
from convscope.interpret.health.network_health import network_health
from convscope.interpret.learned.examples import class_scores, explained_images
from convscope.interpret.learned.explained_images import ExplainedImages
from convscope.interpret.learned.network_on_data import NetworkOnData
from convscope.interpret.learned.training_norms import TrainingNorms, training_norms
from convscope.report.documented import Documented
from convscope.report.progress import Progress
from convscope.report.units import plural
from convscope.scoring.answer import evaluation_batch

IMAGES = 1000
"""Images that a part goes through unless it takes fewer."""

_SHIFTED = 4  # images that are shifted together


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """What the parts are computed with.

    Args:
        images: how many each part goes through at most; its own number unless given.
        layer: of filters, patches, knock-out, confusions and visualization; each part's own unless given.
        other: the network whose layers are compared, and whose norms are drawn; None for the network itself.
        seed: of all that is random.
    """

    images: int | None = None
    layer: str | None = None
    other: OtherNetwork | None = None
    seed: int = 0


Compute = Callable[[NetworkOnData, ImageSet, PartOptions, Progress], Documented]


@dataclass(frozen=True, kw_only=True)
class LearnedPart:
    """One part of what a network learned.

    Args:
        name: as it is asked for; with "_" for "-" the attribute of `Learned`.
        title: of its section.
        compute: computes it.
        quick: whether it is shown unless others are asked for: at most a few forward passes of each image.
        images: that it goes through at most.
    """

    name: str
    title: str
    compute: Compute = field(repr=False)
    quick: bool = True
    images: int = IMAGES

    @property
    def attribute(self) -> str:
        """The attribute of `Learned` that holds it."""
        return self.name.replace("-", "_")


def find_parts(names: Iterable[str] = (), *, every: bool = False, with_other: bool = False) -> tuple[LearnedPart, ...]:
    """Return the parts of these names in the order in which they are shown; the quick ones unless any is named.

    Args:
        names: of parts.
        every: all of them.
        with_other: whether another network is given: then the similarity with it is one of them.

    Raises:
        ArgumentError: there is no such part; the message has the nearest names.

    >>> [part.name for part in find_parts(["health", "filters"])]
    ['filters', 'health']
    """
    asked = set(names)
    for name in sorted(asked - set(PARTS)):
        hint = did_you_mean(name, PARTS) or f" The parts: {', '.join(PARTS)}."
        raise ArgumentError(f"there is no part {name!r} of a look over a data set.{hint}")
    found = [part for part in PARTS.values() if every or (part.name in asked if asked else part.quick)]
    if with_other and not asked and PARTS["similarity"] not in found:
        found = [part for part in PARTS.values() if part in found or part.name == "similarity"]
    return tuple(found)


def _filters(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> LayerFilters:
    return filters(given.replays.on(some_inputs(given, images)), options.layer or "")


def _examples(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> ExplainedImages:
    size = evaluation_batch(images.images.shape[1:])
    scores = class_scores(given.replays, images, given.normalization, batch_size=size, progress=progress)
    return explained_images(
        given.replays, images, given.normalization, scores, objective=given.objective, data=given.data_of(images),
        classes=given.classes,
    )  # fmt: skip


def _patches(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> TopPatches:
    return top_patches(
        given.replays, images, given.normalization, layers=_layers(options), data=given.data_of(images),
        classes=given.classes, progress=progress,
    )  # fmt: skip


def _confusions(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    return confused_classes(
        given.replays, images, given.normalization, layer=options.layer, data=given.data_of(images),
        classes=given.classes, progress=progress,
    )  # fmt: skip


def _calibration(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    return reliability(
        given.replays, images, given.normalization, objective=given.objective,
        temperature=None if given.spec is None else given.spec.temperature, data=given.data_of(images),
        progress=progress,
    )  # fmt: skip


def _health(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    return network_health(given.replays, images, given.normalization, data=given.data_of(images), progress=progress)


def _norms(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> TrainingNorms:
    if given.run is None:
        raise RunError(f"{given.name} is no run, so no norms were measured while it was trained")
    other = None if options.other is None else options.other.run
    return training_norms((given.run, *([] if other is None else [other])))


def _consistency(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    return prediction_consistency(
        given.replays, images, given.normalization, seed=options.seed, objective=given.objective,
        data=given.data_of(images), classes=given.classes, progress=progress,
    )  # fmt: skip


def _robustness(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    return failure_search(
        given.replays, images, given.normalization, data=given.data_of(images), classes=given.classes,
        progress=progress,
    )  # fmt: skip


def _knock_out(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    return channel_knock_out(
        given.replays, images, given.normalization, layer=options.layer or _last_map(given, images),
        data=given.data_of(images), classes=given.classes, progress=progress,
    )  # fmt: skip


def _probes(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> UnproductiveLayers:
    """Return the unproductive layers, with linear probes where there are images to learn from."""
    shape = tuple(some_inputs(given, images).shape[1:])
    found = replace(unproductive_layers(given.network, input_shape=shape), network=given.name)
    if given.train is None or not len(given.train):
        return found
    measured = linear_probes(
        given.replays,
        given.train,
        images,
        given.normalization,
        layers=[each.layer for each in found.convolutions],
        classes=len(given.classes),
        progress=progress,
    )
    convolutions = tuple(replace(each, accuracy=measured.accuracy.get(each.layer)) for each in found.convolutions)
    return replace(found, convolutions=convolutions, probes=measured)


def _equivariance(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    shown = f"{plural(min(len(images), _SHIFTED), 'image')} of {given.data}"
    return equivariance_of(given.replays, some_inputs(given, images, _SHIFTED), image_name=shown, progress=progress)


def _similarity(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    other, data = options.other, given.data_of(images)
    if other is None:
        return layer_similarity(given.replays, given.replays, images, given.normalization, data=data, progress=progress)
    other.require_size(images, data=given.data)
    return layer_similarity(
        given.replays, other.replays, images, given.normalization, second_normalization=other.normalization, data=data,
        progress=progress,
    )  # fmt: skip


def _visualization(given: NetworkOnData, images: ImageSet, options: PartOptions, progress: Progress) -> Documented:
    return feature_visualization(
        given.replays, images, given.normalization, layer=options.layer or _last_map(given, images),
        data=given.data_of(images), seed=options.seed, progress=progress,
    )  # fmt: skip


def _layers(options: PartOptions) -> tuple[str, ...]:
    return () if options.layer is None else (options.layer,)


def some_inputs(given: NetworkOnData, images: ImageSet, count: int = 1) -> torch.Tensor:
    """Return some images as the network takes them, (N, C, H, W); raises DataError where there are none."""
    if not len(images):
        raise DataError(f"there are no images in {given.data}")
    pixels = np.asarray(images.images[spaced_rows(len(images), count)])
    return to_floats(pixels, given.normalization, device=given.replays.device)


def _last_map(given: NetworkOnData, images: ImageSet) -> str:
    _, names = given.replays.graph_on(some_inputs(given, images))
    return last_map(names)


_PARTS = (
    LearnedPart(name="filters", title="Filters", compute=_filters, images=1),
    LearnedPart(name="examples", title="Right and wrong images", compute=_examples),
    LearnedPart(name="patches", title="Top patches", compute=_patches),
    LearnedPart(name="confusions", title="Confused classes", compute=_confusions),
    LearnedPart(name="calibration", title="Calibration", compute=_calibration),
    LearnedPart(name="health", title="Health of the layers", compute=_health),
    LearnedPart(name="norms", title="Norms over the training", compute=_norms, images=1),
    LearnedPart(name="consistency", title="Consistency", compute=_consistency),
    LearnedPart(name="robustness", title="Robustness profile", compute=_robustness, quick=False, images=200),
    LearnedPart(name="knock-out", title="Knock-out", compute=_knock_out, quick=False, images=500),
    LearnedPart(name="probes", title="Unproductive layers", compute=_probes, quick=False),
    LearnedPart(name="equivariance", title="Equivariance", compute=_equivariance, quick=False, images=_SHIFTED),
    LearnedPart(name="similarity", title="Similarity of layers", compute=_similarity, quick=False),
    LearnedPart(name="visualization", title="Feature visualization", compute=_visualization, quick=False),
)
PARTS: Mapping[str, LearnedPart] = {part.name: part for part in _PARTS}
