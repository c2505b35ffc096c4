"""What a training's report shows of what it learned: a few images under their maps and the layers' health, in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from convscope.arrays import Floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.interpret.health.layer_health import NetworkHealth
from convscope.interpret.health.network_health import network_health
from convscope.interpret.learned.examples import explained_images
from convscope.interpret.learned.explained_images import ExplainedImages
from convscope.interpret.replay.replays import Replays
from convscope.report.short_repr import ShortRepr
from convscope.scoring.objective import Objective

SHARE, LEAST, MOST = 0.02, 1.0, 20.0
"""Seconds that it may take: this share of the training's, at least and at most."""

HEALTH_IMAGES = 256
_FOR_EXAMPLES = 0.6  # of the time: after that no further image is explained


@dataclass(frozen=True, kw_only=True, repr=False)
class LearnedInTraining(ShortRepr):
    """What was measured within the time.

    Args:
        examples: some right and some wrong images; None where they are left out.
        health: of the layers; None where it is left out.
        left_out: what is left out and why, a sentence each.
        seconds: that it took.
    """

    examples: ExplainedImages | None = None
    health: NetworkHealth | None = None
    left_out: tuple[str, ...] = ()
    seconds: float = 0.0


def seconds_allowed(trained: float, left: float | None = None) -> float:
    """Return how many seconds it may take after a training of `trained` seconds, with `left` of the time budget.

    >>> seconds_allowed(10), seconds_allowed(600), seconds_allowed(86_400), seconds_allowed(600, left=3.0)
    (1.0, 12.0, 20.0, 3.0)
    """
    allowed = min(MOST, max(LEAST, SHARE * trained))
    return allowed if left is None else max(0.0, min(allowed, left))


def learned_in_training(
    network: nn.Module,
    images: ImageSet,
    normalization: Normalization,
    scores: Floats,
    *,
    allowed: float,
    name: str = "",
    objective: Objective | None = None,
    classes: Sequence[str] = (),
    data: str = "the images",
    clock: Callable[[], float] = time.monotonic,
) -> LearnedInTraining:
    """Return what can be measured of a network within a time; whatever fails is left out, with a sentence.

    Args:
        network: with its best weights; it is left as it is.
        images: those that it was measured on.
        normalization: of its input.
        scores: its scores of these images, (N, classes).
        allowed: seconds; no image or batch begins after that.
        name: the network's.
        objective: how scores become probabilities.
        classes: the names of the outputs.
        data: what to call the images.
        clock: gives seconds.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.array([0, 1, 0, 1, 0, 0]), list("abcdef"))
    >>> found = learned_in_training(network, given, Normalization.default(1), np.eye(2)[[0] * 6], allowed=60)
    >>> len(found.examples.images), found.health.images, found.left_out
    (6, 6, ())
    """
    began = clock()
    replays = Replays(network, name=name)
    examples, health, left_out = None, None, []

    def in_time(share: float = 1.0) -> bool:
        return clock() - began < share * allowed

    if not in_time():
        return LearnedInTraining(left_out=("no time was left for it",))
    try:
        examples = explained_images(
            replays,
            images,
            normalization,
            scores,
            objective=objective,
            data=data,
            classes=classes,
            go_on=lambda: in_time(_FOR_EXAMPLES),
        )
    except Exception as error:  # a training's report is never lost to a picture of it
        left_out.append(f"right and wrong images left out: {_reason(error)}")
    try:
        if not in_time():
            raise _TimeIsOverError("the time for it was over")
        health = _health(replays, images, normalization, data, in_time)
    except (Exception, _TimeIsOverError) as error:
        left_out.append(f"health of the layers left out: {_reason(error)}")
    return LearnedInTraining(examples=examples, health=health, left_out=tuple(left_out), seconds=clock() - began)


class _TimeIsOverError(KeyboardInterrupt):
    """The time is over: long work ends as at an interrupt, with what it has."""


def _health(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    data: str,
    in_time: Callable[[], bool],
) -> NetworkHealth:
    """Return the health over some images, drawn at random: over as many of them as there is time for."""
    rows = np.random.default_rng(0).permutation(len(images))[:HEALTH_IMAGES]
    drawn = ImageSet(np.asarray(images.images[rows]), images.labels[rows], [images.names[row] for row in rows])

    def progress(done: int, total: int, what: str) -> None:
        if not in_time():
            raise _TimeIsOverError

    found = network_health(replays, drawn, normalization, data=data, progress=progress)
    return replace(found, planned=found.images)


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
