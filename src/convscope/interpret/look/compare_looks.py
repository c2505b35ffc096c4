"""Compare networks on one image: two runs, two epochs, two seeds, or any models that take it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from convscope.api.annotations import Positive, Seed
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.api.torch_state import known_state
from convscope.arrays import Floats, Integers
from convscope.capture.load import ModelLike
from convscope.errors import ArgumentError, ConvscopeError
from convscope.interpret.attribution.methods import attribute, find_method, require_method
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.layer_similarity import layer_similarity
from convscope.interpret.behaviour.other_network import require_image_size
from convscope.interpret.behaviour.similarity_record import LayerSimilarity
from convscope.interpret.explanation.given import Given
from convscope.interpret.features.feature_maps import require_page
from convscope.interpret.features.feature_maps_record import FeatureMaps
from convscope.interpret.features.map_choices import ChannelRanking
from convscope.interpret.interrupts import noted_interrupts
from convscope.interpret.look.comparison import ComparedNetwork, LookComparison, Pairing
from convscope.interpret.look.options import COMPARED_METHODS, MAPS, LookOptions
from convscope.interpret.look.prediction import image_prediction
from convscope.interpret.look.ranked_maps import ranked_maps
from convscope.interpret.replay.class_scores import output_notes
from convscope.interpret.replay.finite import require_finite
from convscope.interpret.replay.on_images import on_pixels
from convscope.interpret.subject import Subject, subject
from convscope.report.progress import Progress, ProgressOption, progress_of
from convscope.runs.run_images import own_images

SIMILARITY = "similarity of layers"
IMAGES = 256
"""Images of a run, evenly spaced, on which the similarity of layers is measured."""


@public
@exclusive(None)
def compare_looks(
    *models: ModelLike | tuple[ModelLike, Sequence[int]],
    image: Given,
    layer: str | None = None,
    target: int | str | None = None,
    methods: Sequence[str] = COMPARED_METHODS,
    maps: Positive = MAPS,
    page: Positive = 1,
    ranking: ChannelRanking = "energy",
    similarity: bool = True,
    input_shape: Sequence[int] | None = None,
    seed: Seed = 0,
    progress: ProgressOption = False,
) -> LookComparison:
    """Compare what networks make of one image: feature maps and attributions side by side, on one scale.

    Of states of one run, channels of the same number are below one another. Of others, whose channels have no order in
    common, those are whose maps on this image correlate most. Ctrl-C ends the work; once the feature maps are there,
    what is ready is returned.

    Args:
        models: two or more, as of `convscope.explain`; a checkpoint of a run, such as
            "runs/seven/checkpoint/step-000000084", is one as well. A pair is a model and its input shape.
        image: as of `convscope.explain`.
        layer: whose feature maps are compared, and Grad-CAM is computed; unless given as of `look`, for each network.
        target: the class to explain, by number or name; what the first network predicts unless given.
        methods: of attribution, as of `look`.
        maps: how many feature maps are shown.
        page: which of them, from 1.
        ranking: which maps of the first network come first, as of `look`.
        similarity: measure linear CKA of the layers, on images of the first run among the models.
        input_shape: of one sample, (C, *S), of all that have none beside them; each model's own unless given.
        seed: of the weights of models that have none of their own.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        ArgumentError: fewer than two models, or no such method.
        CaptureError: no such model or layer, or scores that are not finite.
        DataError: the image can't be read.
        GeometryError: a network has no such class, or page of maps.

    >>> from torch import nn
    >>> def network():
    ...     return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    >>> found = compare_looks(network(), network(), image=np.eye(8, dtype=np.float32)[None])
    >>> [one.name for one in found.networks], found.networks[1].maps.maps.shape, found.pairing
    (['Sequential', 'Sequential (2)'], (4, 6, 6), 'correlation')
    """
    options = LookOptions(
        layer=layer, target=target, methods=tuple(methods), maps=maps, page=page, ranking=ranking, seed=seed
    )
    pairs = [model if isinstance(model, tuple) else (model, input_shape) for model in models]
    given = [subject(model, image, input_shape=shape, seed=seed) for model, shape in pairs]
    return compare_subjects(given, options, similarity=similarity, progress=progress)


def compare_subjects(
    given: Sequence[Subject], options: LookOptions, *, similarity: bool = True, progress: ProgressOption = False
) -> LookComparison:
    """Return the comparison of networks that are prepared, each with the image; errors as of `compare_looks`.

    Raises:
        KeyboardInterrupt: before the feature maps of every network were there; later, what is ready is returned.
    """
    if len(given) < 2:
        raise ArgumentError(f"comparing takes two models or more, got {len(given)}: name another")
    with known_state():
        for name in options.methods:
            require_method(name)
        sides = [replace(one, name=name) for one, name in zip(given, _names(given), strict=True)]
        first = sides[0]
        for one in sides:
            require_finite(one.replay)
        target = first.target(options.target)
        named = first.classes[target] if target < len(first.classes) else None
        targets = [one.target(target) if named is None or not one.classes else one.class_named(named) for one in sides]
        if options.page > 1:
            require_page(first, options.layer or "", page=options.page, per_page=options.maps)
        methods = tuple(dict.fromkeys(options.methods))
        left_out: list[str] = []
        maps = [_maps(one, number, options, left_out) for one, number in zip(sides, targets, strict=True)]
        pairing = _pairing(sides, maps)
        shown = () if maps[0] is None else maps[0].shown
        pairs = [_paired(maps[0], each, shown, pairing) for each in maps]
        found: dict[tuple[int, str], Attribution | None] = {}
        similarities: list[LayerSimilarity] = []
        missing = [SIMILARITY] if similarity else []
        with progress_of(progress) as report, noted_interrupts() as interrupts:
            try:
                for number, one in enumerate(sides):
                    report(number, len(sides), f"attributions of {one.name}")
                    for name in methods:
                        found[number, name] = _attribution(one, name, targets[number], options, left_out)
                        interrupts.require_none()
                report(len(sides), len(sides), "attributions")
                for each in _similarities(sides, left_out, interrupts.noting(report)) if similarity else ():
                    similarities.append(each)
                    interrupts.require_none()
                missing.clear()
            except KeyboardInterrupt:
                interrupts.came = True
        not_explained = [f"{name} of {one.name}" for number, one in enumerate(sides) for name in methods
                         if (number, name) not in found]  # fmt: skip
        return LookComparison(
            image_name=first.image_name,
            methods=methods,
            networks=tuple(
                ComparedNetwork(
                    name=one.name, target=targets[number], class_name=one.class_name(targets[number]),
                    prediction=image_prediction(one), maps=maps[number], channels=pairs[number][0],
                    correlations=pairs[number][1],
                    attributions=tuple(found.get((number, name)) for name in methods),
                )
                for number, one in enumerate(sides)
            ),
            pairing=pairing,
            picture=first.pixels,
            similarities=tuple(similarities),
            left_out=tuple(dict.fromkeys(left_out)),
            missing=(*not_explained, *missing),
            notes=_notes(sides),
            interrupted=interrupts.came,
        )  # fmt: skip


def _names(given: Sequence[Subject]) -> list[str]:
    """Return names that tell the networks apart: a number behind one that was there before."""
    names: list[str] = []
    for one in given:
        number, name = 1, one.name
        while name in names:
            number += 1
            name = f"{one.name} ({number})"
        names.append(name)
    return names


def _notes(sides: Sequence[Subject]) -> tuple[str, ...]:
    """Return the remarks on the networks, each with the network that it is about unless it is about all."""
    remarks = [(one.name, (*one.notes, *output_notes(one.replay.graph))) for one in sides]
    common = [note for note in remarks[0][1] if all(note in notes for _, notes in remarks)]
    return (*common, *(f"of {name}: {note}" for name, notes in remarks for note in notes if note not in common))


def _maps(one: Subject, target: int, options: LookOptions, left_out: list[str]) -> FeatureMaps | None:
    asked = options.layer is not None or options.page > 1
    try:
        return ranked_maps(one, options, target)
    except ConvscopeError as error:
        if asked:
            raise
        left_out.append(f"feature maps of {one.name} left out: {error}")
        return None


def _pairing(sides: Sequence[Subject], maps: Sequence[FeatureMaps | None]) -> Pairing:
    sizes = {each.maps.shape[1:] for each in maps if each is not None}
    if len(sizes) > 1:
        return "rank"
    runs = {None if one.run is None else one.run.path for one in sides}
    return "number" if len(runs) == 1 and None not in runs else "correlation"


def _paired(
    first: FeatureMaps | None, other: FeatureMaps | None, shown: tuple[int, ...], pairing: Pairing
) -> tuple[tuple[int, ...], Floats]:
    """Return the channels of another network that go with those shown of the first, and their correlations."""
    if other is None or first is None or pairing == "rank":
        channels = () if other is None else other.shown
        return channels, np.full(len(channels), np.nan)
    if first.is_vector:  # units have one number each: nothing to correlate
        channels = tuple(channel for channel in shown if channel < len(other.maps))
        return channels, np.full(len(channels), np.nan)
    alike = _correlations(first.maps[list(shown)], other.maps)
    if other is first or (pairing == "number" and len(other.maps) == len(first.maps)):
        return shown, alike[np.arange(len(shown)), list(shown)]
    best = _one_to_one(np.nan_to_num(alike, nan=-2.0))
    return tuple(int(channel) for channel in best), alike[np.arange(len(shown)), best]


def _one_to_one(alike: Floats) -> Integers:
    """Return for each row a column, the most alike pairs first, each column once as long as there are any left.

    >>> _one_to_one(np.array([[0.9, 0.8], [0.95, 0.1]])).tolist()
    [1, 0]
    """
    rows, columns = alike.shape
    found = alike.argmax(axis=1)
    free_rows, free_columns = set(range(rows)), set(range(columns))
    for place in np.argsort(-alike, axis=None, kind="stable"):
        row, column = divmod(int(place), columns)
        if row in free_rows and column in free_columns:
            found[row] = column
            free_rows.discard(row)
            free_columns.discard(column)
    return np.asarray(found, np.int64)


def _correlations(first: Floats, other: Floats) -> Floats:
    """Return Pearson's correlation of every map of one with every map of another; NaN of a constant one."""
    flat = [maps.reshape(len(maps), -1) for maps in (first, other)]
    one, two = (maps - maps.mean(1, keepdims=True) for maps in flat)
    vary = [maps.max(1) > maps.min(1) for maps in flat]  # what rounding leaves of a constant map is no variation
    norms = np.sqrt((one**2).sum(1))[:, None] * np.sqrt((two**2).sum(1))[None, :]
    known = np.logical_and.outer(*vary) & (norms > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(known, one @ two.T / norms, np.nan), np.float64)


def _attribution(
    one: Subject, method: str, target: int, options: LookOptions, left_out: list[str]
) -> Attribution | None:
    layer = options.layer if "layer" in find_method(method).takes else None
    try:
        return attribute(one, method, target=target, options=AttributionOptions(layer=layer))
    except ConvscopeError as error:
        left_out.append(f"{method} of {one.name} left out: {error}")
        return None


def _similarities(sides: Sequence[Subject], left_out: list[str], progress: Progress) -> Iterator[LayerSimilarity]:
    """Yield the similarity of the first network's layers to those of each other, on images of the first run."""
    with_images = next((one for one in sides if one.run is not None and one.preprocessing is not None), None)
    if with_images is None or with_images.run is None or with_images.preprocessing is None:
        left_out.append(f"{SIMILARITY} left out: it is measured on a run's images, and none of these is a run")
        return
    try:
        split, images = own_images(with_images.run, progress=progress)
    except ConvscopeError as error:
        left_out.append(f"{SIMILARITY} left out: {error}")
        return
    data = f"{with_images.run.recipe().data}, {split}"
    if len(images) > IMAGES:
        data = f"{data} ({len(images):,} in all)"
        images = images.spaced(IMAGES)
    own = with_images.preprocessing.normalization
    first = sides[0]
    known = {one.name: own if one.preprocessing is None else one.preprocessing.normalization for one in sides}
    for other in sides[1:]:
        try:
            for one in (first, other):
                require_image_size(one.name, one.tensor.shape[1:], images, data=data)
            found = layer_similarity(
                on_pixels(first.replays),
                on_pixels(other.replays),
                images,
                known[first.name],
                second_normalization=known[other.name],
                data=data,
                progress=progress,
            )
        except ConvscopeError as error:
            left_out.append(f"similarity of the layers of {first.name} and {other.name} left out: {error}")
            continue
        yield replace(found, first=first.name, second=other.name)
