"""The verb `look`: a network and an image, and what the network makes of it, part by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from convscope.api.annotations import Positive, Seed
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.api.torch_state import changes_undone, known_state
from convscope.capture.load import ModelLike
from convscope.hardware.allocator import prepare_memory
from convscope.interpret.explanation.given import Given
from convscope.interpret.features.map_choices import ChannelRanking, ScaleOf
from convscope.interpret.interrupts import noted_interrupts
from convscope.interpret.look.options import LOOK_METHODS, MAPS, LookOptions
from convscope.interpret.look.parts import CHECKS, part_names, parts, require_parts
from convscope.interpret.look.prediction import image_prediction
from convscope.interpret.look.record import Look, LookPart
from convscope.interpret.replay.class_scores import output_notes
from convscope.interpret.replay.finite import require_finite
from convscope.interpret.subject import Subject, subject
from convscope.report.progress import ProgressOption
from convscope.report.units import plural
from convscope.runs.predictions import Prediction

OnPart: TypeAlias = Callable[[LookPart], None]
"""What is called with each part of a look once it is ready."""


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
    at: Sequence[int] | None = None,
    fields: bool = False,
    equivariance: bool = False,
    robustness: bool = False,
    visualize: str | None = None,
    input_shape: Sequence[int] | None = None,
    seed: Seed = 0,
    on_part: OnPart | None = None,
    progress: ProgressOption = False,
) -> Look:
    """Look at what a network computes of an image, and at what its prediction depends on.

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
        ranking: which maps come first: "energy" (mean square), "contribution" (fall of the score when the channel is
            replaced by its mean over the run's images, with that by 0 beside it; by 0 alone without a run), "gradient"
            (gradient times activation) or "order" (by number).
        scale: what has one colour scale: each "map", the "layer" or the "network".
        at: a position on the layer's map, (row, column), whose channels are shown together; the one with the largest
            sum of squares unless given.
        fields: measure the layers' effective fields too.
        equivariance: shift the image and measure per layer how far its map is from moving with it.
        robustness: find the smallest shift, rotation, blur, brightness and crop of the image that changes the
            prediction.
        visualize: a layer, as "layer1.0" or with channels as "layer1.0:3,5": pictures that excite these channels are
            made, beside the run's images that do; of a network without a run, beside the image.
        input_shape: of one sample, (C, *S); the model's own unless given.
        seed: of random orders, and of the weights of a model that has none of its own.
        on_part: is called with each part once it is ready.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        ArgumentError: no such method.
        CaptureError: no such model or layer, or scores that are not finite: the message has the first layer of those.
        DataError: the image can't be read, or does not have the network's channels or sizes.
        GeometryError: no such class, page of maps, position or channel.

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
        at=None if at is None else tuple(at),
        fields=fields,
        equivariance=equivariance,
        robustness=robustness,
        visualize=visualize,
        seed=seed,
    )
    return look_at(subject(model, image, input_shape=input_shape, seed=seed), options, on_part, progress)


def look_at(
    given: Subject, options: LookOptions, on_part: OnPart | None = None, progress: ProgressOption = False
) -> Look:
    """Return a look at a network and an image that are prepared; arguments and errors as of `look`."""
    with known_state():
        require_parts(given, options)
        target = given.target(options.target)
        require_finite(given.replay)
        prediction = image_prediction(given)
        found = Look(
            network=given.name,
            image_name=given.image_name,
            target=target,
            class_name=given.class_name(target),
            prediction=prediction,
            picture=given.pixels,
            notes=(
                *given.notes,
                *output_notes(given.replay.graph),
                *_label_notes(prediction, options, given.class_name(target)),
            ),
        )
        options = replace(options, target=target, methods=tuple(dict.fromkeys(options.methods)))
        missing = list(part_names(options))
        with noted_interrupts() as interrupts:
            try:
                _hand_on((prediction,), on_part)
                for name, ready in parts(given, options, progress, interrupts):
                    for part in (ready,) if isinstance(ready, str) else ready:
                        found = found.with_part(part)
                    missing.remove(name)
                    _hand_on(ready, on_part)
            except KeyboardInterrupt:
                if not found.attributions and set(missing).isdisjoint(options.methods):
                    missing = [name for name in missing if name != CHECKS]  # there is nothing to check
                return replace(found, interrupted=True, missing=tuple(missing))
        return found


def _hand_on(ready: Sequence[LookPart] | str, on_part: OnPart | None) -> None:
    if on_part is None or isinstance(ready, str):
        return
    for part in ready:
        with changes_undone():
            on_part(part)


def _label_notes(prediction: Prediction, options: LookOptions, explained: str) -> tuple[str, ...]:
    """Return which of several labels is explained, where it was not said."""
    if not prediction.multi_label or options.target is not None:
        return ()
    if not prediction.labels:
        return (f"no label is predicted: the nearest, {explained}, is explained",)
    count = len(prediction.labels)
    return () if count == 1 else (f"{plural(count, 'label')} are predicted: the first, {explained}, is explained",)
