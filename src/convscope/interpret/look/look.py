"""The verb `look`: a network and an image, and what the network makes of it, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from convscope.api.annotations import NotNegative, Positive
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.api.torch_state import changes_undone, known_state
from convscope.capture.load import ModelLike
from convscope.errors import CaptureError, ConvscopeError
from convscope.hardware.allocator import prepare_memory
from convscope.interpret.attribution.checks.check import check_attributions
from convscope.interpret.attribution.methods import attribute, find_method
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.effective_field.effective_fields import effective_fields
from convscope.interpret.explanation.given import Given
from convscope.interpret.features.feature_maps import ChannelRanking, ScaleOf, feature_maps
from convscope.interpret.features.filters import LayerFilters, filters
from convscope.interpret.finite import require_finite
from convscope.interpret.look.prediction import image_prediction
from convscope.interpret.look.record import Look, LookPart
from convscope.interpret.subject import Subject, subject
from convscope.report.progress import Progress, ProgressOption, progress_of
from convscope.report.units import plural
from convscope.runs.predictions import Prediction

LOOK_METHODS = ("grad-cam", "hires-cam", "integrated-gradients", "occlusion", "guided-backprop")
MAPS = 8

OnPart: TypeAlias = Callable[[LookPart], None]
"""What is called with each part of a look once it is ready."""


@dataclass(frozen=True, kw_only=True)
class LookOptions:
    """What a look shows; the arguments of `look`, which says what each is."""

    layer: str | None = None
    target: int | str | None = None
    methods: tuple[str, ...] = LOOK_METHODS
    checks: bool = True
    maps: int = MAPS
    page: int = 1
    ranking: ChannelRanking = "energy"
    scale: ScaleOf = "layer"
    fields: bool = False
    seed: int = 0


@public
@exclusive(None)
def look(
    model: ModelLike,
    image: Given,
    *,
    layer: str | None = None,
    target: int | str | None = None,
    methods: Sequence[str] = LOOK_METHODS,
    checks: bool = True,
    maps: Positive = MAPS,
    page: Positive = 1,
    ranking: ChannelRanking = "energy",
    scale: ScaleOf = "layer",
    fields: bool = False,
    input_shape: Sequence[int] | None = None,
    seed: NotNegative = 0,
    on_part: OnPart | None = None,
    progress: ProgressOption = False,
) -> Look:
    """Look at what a network computes of an image, and at what its answer rests on.

    The parts: the prediction, the first layer's filters, a layer's feature maps, and by several methods which parts of
    the image the class's score depends on, each with checks that say whether to believe it. All of them read one run
    of the network, which is left as it is. Ctrl-C ends the work, and the parts that are ready are returned.

    Args:
        model: as of `convscope.explain`.
        image: as of `convscope.explain`.
        layer: a layer's or operation's name as `inspect` prints it: its feature maps are shown, and Grad-CAM and
            HiResCAM are computed there. Unless given, maps are of the first layer and those two at the last with a map.
        target: the class to explain, by number or name; the predicted one unless given.
        methods: of attribution: grad-cam, hires-cam, gradient, gradient-times-input, integrated-gradients, occlusion,
            guided-backprop, captum:NAME.
        checks: compare each map with that of random weights, and delete and insert pixels in its order.
        maps: how many feature maps are shown.
        page: which of them, from 1: page 2 has the ones after the first `maps`.
        ranking: which maps come first: "energy" (mean square), "contribution" (fall of the score without the channel),
            "gradient" (gradient times activation) or "order" (by number).
        scale: what has one colour scale: each "map", the "layer" or the "network".
        fields: measure the layers' effective fields too.
        input_shape: of one sample, (C, *S); the model's own unless given.
        seed: of random orders, and of the weights of a model that has none of its own.
        on_part: is called with each part once it is ready.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        ArgumentError: no such method.
        CaptureError: no such model or layer, or scores that are not finite: the message has the first layer of those.
        DataError: the image can't be read, or does not have the network's channels or sizes.
        GeometryError: no such class, or page of maps.

    >>> import numpy as np
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    >>> found = look(network, np.eye(8, dtype=np.float32)[None], target=2, methods=["grad-cam"], checks=False)
    >>> found.maps.layer, found.filters.layer, found.attributions[0].cells.shape, found.checks
    ('1', '0', (6, 6), ())
    """
    prepare_memory()
    options = LookOptions(
        layer=layer,
        target=target,
        methods=tuple(methods),
        checks=checks,
        maps=maps,
        page=page,
        ranking=ranking,
        scale=scale,
        fields=fields,
        seed=seed,
    )
    return look_at(subject(model, image, input_shape=input_shape, seed=seed), options, on_part, progress)


def look_at(
    given: Subject, options: LookOptions, on_part: OnPart | None = None, progress: ProgressOption = False
) -> Look:
    """Return a look at a network and an image that are prepared; arguments and errors as of `look`."""
    with known_state():
        methods = [find_method(name) for name in dict.fromkeys(options.methods)]
        target = given.target(options.target)
        if options.layer is not None:
            given.replay.find(options.layer)
        require_finite(given.replay)
        prediction = image_prediction(given)
        found = Look(
            network=given.name,
            image_name=given.image_name,
            target=target,
            class_name=given.class_name(target),
            prediction=prediction,
            picture=given.pixels,
            notes=(*given.notes, *_label_notes(prediction, options, given.class_name(target))),
        )
        _hand_on(prediction, on_part)
        options = replace(options, target=target, methods=tuple(method.name for method in methods))
        try:
            for part in _parts(given, options, progress):
                found = found.with_part(part)
                _hand_on(part, on_part)
        except KeyboardInterrupt:
            return replace(found, interrupted=True)
        return found


def _hand_on(part: LookPart | str, on_part: OnPart | None) -> None:
    if on_part is not None and not isinstance(part, str):
        with changes_undone():
            on_part(part)


def _parts(given: Subject, options: LookOptions, progress: ProgressOption) -> Iterator[LookPart | str]:
    """Yield each part when it is ready, the quick ones first; of what the network does not have, why."""
    yield from _one("filters", lambda _: _filters(given, options.layer), progress)
    yield from _one("feature maps", lambda report: _maps(given, options, report), progress, asked=options.page > 1)
    attributions: list[Attribution] = []
    for name in options.methods:
        for part in _one(name, lambda report, name=name: _attribution(given, name, options, report), progress):  # type: ignore[misc]
            attributions += [part] if isinstance(part, Attribution) else []
            yield part
            if isinstance(part, Attribution) and part.interrupted:
                raise KeyboardInterrupt
    if options.checks and attributions:
        with progress_of(progress) as report:
            checks = check_attributions(given, attributions, seed=options.seed, progress=report)
        yield from checks
    if options.fields:
        yield from _one("effective fields", lambda report: _fields(given, options.seed, report), progress)


def _one(
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


def _filters(given: Subject, layer: str | None) -> LayerFilters:
    """Return the filters of the layer, or of the first layer where it has none."""
    try:
        return filters(given.replay, layer or "")
    except CaptureError:
        if layer is None:
            raise
        return filters(given.replay)


def _maps(given: Subject, options: LookOptions, progress: Progress) -> LookPart:
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


def _fields(given: Subject, seed: int, progress: Progress) -> LookPart:
    found = effective_fields(given.network, given.tensor, seed=seed, progress=progress)
    return replace(found, network=given.name)


def _label_notes(prediction: Prediction, options: LookOptions, explained: str) -> tuple[str, ...]:
    """Return which of several labels is explained, where it was not said."""
    if not prediction.multi_label or options.target is not None:
        return ()
    if not prediction.labels:
        return (f"no label is predicted: the nearest, {explained}, is explained",)
    count = len(prediction.labels)
    return () if count == 1 else (f"{plural(count, 'label')} are predicted: the first, {explained}, is explained",)
