"""Seconds of a training's parts, measured in a second or two on its own images before the first step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from convscope.api.generators import exclusive
from convscope.data.records import ImageSet
from convscope.data.training_batches import TrainingBatch, scaled_down, side_shares
from convscope.hardware.mode import computing
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.answer import EVALUATION_BATCH, scores_of_images
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.autotune.make import work_of
from convscope.training.autotune.trial import Work, run_trial
from convscope.training.loop.state import batches_of, loop_settings
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.costs import Costs, Sides

# A step or a forward pass that is timed has as many images as take about this long, and at least so many.
STEP_SECONDS, FORWARD_SECONDS = 0.25, 0.1
FEW_IMAGES, LEAST_IMAGES = 16, 64
# An image more costs at least this share of what an image of the timed step costs on average: the rest is what a step
# costs whatever its size, and is not multiplied.
LEAST_OF_MEAN = 0.6
# The pictures and tables of a report, and the small files of a run.
REPORT_SECONDS = 1.0
# What a disk writes at least, in bytes a second; weights, best weights, their mean and the optimizer's are written.
DISK_RATE, TENSORS_WRITTEN = 100e6, 4
BYTES = 4


def measured_costs(
    resolved: ResolvedRecipe,
    spec: ModelSpec,
    train: ImageSet,
    *,
    val: ImageSet | None = None,
    test: ImageSet | None = None,
) -> Costs:
    """Return what steps, the end of an epoch and the end of the run cost; generators and threads stay as found.

    A network that can't be timed here costs nothing, and what its steps really take is seen as it trains.
    """
    with exclusive(resolved.device):
        work = work_of(resolved, spec, train)
        prepared = _seconds_to_prepare(resolved, spec, train)
        sides = sorted({side for _, side in sides_of(resolved).parts})
        few = _timed_step(work.part(FEW_IMAGES))
        images = _images_for(STEP_SECONDS, few / FEW_IMAGES, most=len(work.batch.pixels))
        steps = []
        for side in sides if len(sides) < 3 else (sides[0], sides[-1]):
            steps.append((side, _step_seconds(_at_side(work, side), images) + prepared))
        if resolved.recipe.stream == "yes":  # a stream's batches are decoded while steps are computed, or waited for
            steps = [(side, max(seconds - prepared, prepared)) for side, seconds in steps]
        plain = _forward_seconds(resolved, spec, work.network, val or test or train, views=ONE, in_mode=True)
        views = _forward_seconds(resolved, spec, work.network, test or val or train, views=spec.tta, in_mode=False)
    written = TENSORS_WRITTEN * BYTES * resolved.parameters / DISK_RATE
    measured = sum(len(part) for part in _measured_at_the_end(resolved, val=val, test=test))
    return Costs(
        steps=tuple(steps),
        epoch_end=plain * (0 if val is None else len(val)) + written,
        finish=views * measured + REPORT_SECONDS + written,
    )


def sides_of(resolved: ResolvedRecipe) -> Sides:
    """Return a recipe's progressive resizing."""
    return Sides(parts=side_shares(resolved.progressive_resize_start, resolved.progressive_resize_share))


def _measured_at_the_end(
    resolved: ResolvedRecipe, *, val: ImageSet | None, test: ImageSet | None
) -> tuple[ImageSet, ...]:
    """Return the parts that are measured with all views: the test part, and validation where something is fitted."""
    if not test:
        return (val,) if val else ()
    fitted = resolved.recipe.calibrate or resolved.recipe.miss_rate
    return (test, val) if val and fitted else (test,)


def _step_seconds(work: Work, images: int) -> float:
    """Return the seconds of a step on the whole batch, by steps of fewer images."""
    batch = len(work.batch.pixels)
    timed = _timed_step(work.part(images), seconds=STEP_SECONDS)
    if images >= batch:
        return timed
    mean, few = timed / images, min(FEW_IMAGES, images // 2)
    more = (timed - _timed_step(work.part(few))) / (images - few)
    return timed + (batch - images) * min(mean, max(LEAST_OF_MEAN * mean, more))


def _timed_step(work: Work, *, seconds: float = 0.0) -> float:
    """Return the seconds of a step; 0 where it can't be timed."""
    trial = run_trial(work, work.settings.resolved.mode, seconds=seconds)
    return trial.images / trial.images_per_second if trial.images_per_second else 0.0


def _images_for(seconds: float, each: float, *, most: int) -> int:
    return most if not each else min(most, max(LEAST_IMAGES, math.ceil(seconds / each)))


def _at_side(work: Work, side: float) -> Work:
    height, width = (max(1, round(length * side)) for length in work.batch.pixels.shape[2:])
    pixels = scaled_down(work.batch.pixels, (height, width))
    return replace(work, batch=TrainingBatch(pixels, work.batch.targets, work.batch.images))


def _seconds_to_prepare(resolved: ResolvedRecipe, spec: ModelSpec, train: ImageSet) -> float:
    """Return the seconds in which a batch is gathered and augmented."""
    batches = batches_of(loop_settings(resolved, spec, train), train)
    batches.first()
    return _timed(lambda: batches.first())


def _forward_seconds(
    resolved: ResolvedRecipe, spec: ModelSpec, network: nn.Module, images: ImageSet, *, views: str, in_mode: bool
) -> float:
    """Return the seconds in which an image is measured: between epochs in the mode of a step, at the end in fp32."""
    mode = replace(resolved.mode, compile="no")
    network = network.to(resolved.device)
    mode.lay_out(network)
    forward = mode.forward_of(network) if in_mode else None

    def measure(count: int) -> float:
        part = images.part(slice(0, count))

        def scores() -> object:
            return scores_of_images(
                network, part, spec.normalization, views=views, device=resolved.device, forward=forward
            )

        scores()
        return min(_timed(scores), _timed(scores)) / len(part)

    with computing(mode, resolved.device):
        few = measure(min(LEAST_IMAGES, len(images)))
        return measure(_images_for(FORWARD_SECONDS, few, most=min(EVALUATION_BATCH, len(images))))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
