"""Seconds of a training's parts, measured in a second or two on its own images before the first step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from convscope.api.generators import exclusive
from convscope.data.records import ImageSet
from convscope.data.training_batches import TrainingBatch, scaled_down, side_shares
from convscope.hardware.mode import computing
from convscope.hardware.run_queue import core_wait
from convscope.nets.modules import has_batch_norm
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.answer import evaluation_batch, scores_of_images
from convscope.scoring.test_time_augmentation import ONE, view_count
from convscope.training.autotune.make import work_of
from convscope.training.autotune.trial import LEAST_STEPS, Work, run_trial
from convscope.training.loop.running_statistics import images_measured_anew
from convscope.training.loop.state import batches_of, loop_settings
from convscope.training.resolve.head import SOLVE
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.start import resumed_network
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.rates import ImageCounts, Rates

# A step or a forward pass that is timed has as many images as take about this long, and at least LEAST_IMAGES.
STEP_SECONDS, FORWARD_SECONDS = 0.25, 0.1
LEAST_IMAGES = 8
# It has MORE_IMAGES where these take at most MORE_TIMES as long: an error in a step's fixed part grows with the batch.
MORE_IMAGES, MORE_TIMES = 64, 4
# Of a step of these, no more than this share is taken to be what any step costs.
MOST_FIXED = 0.8
# Of a training whose steps take less than this in all, few images are timed: at most this share of all that it trains
# on, after the first few.
SHORT_TRAINING, SHORT_EFFORT, SHORT_SHARE = 10.0, 0.1, 0.05
# The first measuring is of few images, and once more of a whole batch where that takes no longer than this.
PILOT_SECONDS = 0.1
# What a disk writes at least, in bytes a second; weights, best weights, their mean and the optimizer's are written.
DISK_RATE, TENSORS_WRITTEN = 100e6, 4
BYTES = 4
# Times of a pass over the images in which features are computed and the head is fitted to them.
SOLVE_MARGIN = 1.15


def measured_costs(
    resolved: ResolvedRecipe,
    spec: ModelSpec,
    train: ImageSet,
    *,
    val: ImageSet | None = None,
    test: ImageSet | None = None,
    processes: int = 1,
    images: int | None = None,
    cached: float = 0.0,
) -> Costs:
    """Return what steps, the end of an epoch and the end of the run cost; generators and threads stay as found.

    `images` are those that the steps take in all, of all epochs unless given; where there are none, no step is timed.
    `cached` is the share of a solved head's features that need not be computed.
    A network that can't be timed here costs nothing, and what its steps really take is seen as it trains. Of several
    processes each has its part of the images; what they exchange is not in it.
    """
    images = len(train) * resolved.epochs if images is None else images
    with core_wait() as wait:
        rates = (
            measured_rates(resolved, spec, train, images=images) if images else _rates_of_views(resolved, spec, train)
        )
    batch = min(resolved.batch_size, len(train))
    counts = ImageCounts(
        trained=len(train),
        batch=batch,
        validated=0 if val is None else len(val),
        tested=sum(len(part) for part in _measured_at_the_end(resolved, val=val, test=test)),
        views=view_count(spec.tta),
        statistics=images_measured_anew(-(-len(train) // batch), batch),
        streamed=resolved.recipe.stream == "yes",
    )
    solving = seconds_to_solve(resolved, rates, trained=len(train), validated=counts.validated)
    costs = rates.costs(counts.shared_by(processes), before=(1 - cached) * solving / processes)
    return replace(costs, of_time_alone=wait.of_time_alone)


def seconds_to_solve(resolved: ResolvedRecipe, rates: Rates, *, trained: int, validated: int) -> float:
    """Return the seconds in which features are computed and the head is solved; 0 where it is trained instead."""
    if resolved.head != SOLVE:
        return 0.0
    # Features are exact, unless they are all there is and another arithmetic was asked for.
    each = rates.view if resolved.epochs else rates.validate
    return SOLVE_MARGIN * each * (trained * view_count(resolved.head_views) + validated)


def measured_rates(
    resolved: ResolvedRecipe,
    spec: ModelSpec,
    train: ImageSet,
    *,
    images: int | None,
    effort: float = 1.0,
    fastest: bool = False,
) -> Rates:
    """Return the seconds for an image, of a training whose steps have `images` in all, where these are few.

    `effort` is the share of the usual time that is measured. Times are those of the median step, or of the `fastest`:
    that depends less on what else the machine does now. Generators and threads stay as found.
    """
    with exclusive(resolved.device):
        work = work_of(resolved, spec, train)
        pilot = _pilot(work, fastest=fastest)
        sides, seconds = sorted({side for _, side in sides_of(resolved).parts}), effort * STEP_SECONDS
        count = _images_for(seconds, pilot.each, most=len(work.batch.pixels))
        if images is not None and pilot.each * images < SHORT_TRAINING:
            effort, sides, seconds = SHORT_EFFORT, [1.0], 0.0
            allowed = int(SHORT_SHARE * images / (LEAST_STEPS + 1))
            # A step of hardly more images than the first says nothing of what each image costs.
            count = min(count, allowed) if not pilot.is_whole and allowed >= 2 * LEAST_IMAGES else 0
        steps, fixed = [(1.0, pilot.each)], 0.0
        if count > LEAST_IMAGES:  # where a few images take as long as this, they have been timed
            part = work.part(count)
            timed = {
                side: _timed_step(_at_side(part, side), seconds=seconds, fastest=fastest)
                for side in (sides if len(sides) < 3 else (sides[0], sides[-1]))
            }
            fixed = fixed_part(LEAST_IMAGES, pilot.few, count, timed[1.0])
            steps = [(side, max(0.0, step - fixed) / count) for side, step in timed.items()]
        prepared = _seconds_to_prepare(resolved, spec, train) / max(1, len(work.batch.pixels))
        validate = _forward_seconds(resolved, spec, work.network, train, in_mode=True, effort=effort)
        view = validate
        if resolved.mode.precision != "fp32":
            view = _forward_seconds(resolved, spec, work.network, train, in_mode=False, effort=effort)
    return Rates(
        steps=tuple(steps),
        prepare=prepared,
        validate=validate,
        view=view,
        written=TENSORS_WRITTEN * BYTES * resolved.parameters / DISK_RATE,
        fixed=fixed,
        # Of the network, and of the mean of its weights.
        statistics=validate * (2 if resolved.ema_epochs else 1) if has_batch_norm(work.network) else 0.0,
    )


def _rates_of_views(resolved: ResolvedRecipe, spec: ModelSpec, train: ImageSet) -> Rates:
    """Return the seconds in which a view of an image is answered; those of a step are 0."""
    with exclusive(resolved.device):
        network = resumed_network(spec, resolved.recipe.freeze)
        validate = _forward_seconds(resolved, spec, network, train, in_mode=True, effort=1.0)
        view = validate
        if resolved.mode.precision != "fp32":
            view = _forward_seconds(resolved, spec, network, train, in_mode=False, effort=1.0)
    written = TENSORS_WRITTEN * BYTES * resolved.parameters / DISK_RATE
    return Rates(steps=((1.0, 0.0),), prepare=0.0, validate=validate, view=view, written=written)


def fixed_part(few_images: int, few: float, images: int, step: float) -> float:
    """Return the seconds of a step whatever its images, by those of two sizes; never most of the larger one.

    >>> fixed_part(8, 0.058, 64, 0.114), fixed_part(8, 0.01, 64, 0.08), fixed_part(8, 0.1, 8, 0.1)
    (0.05, 0.0, 0.0)
    """
    if images <= few_images:
        return 0.0
    each = max(0.0, step - few) / (images - few_images)
    return round(min(max(0.0, few - few_images * each), MOST_FIXED * step), 9)


@dataclass(frozen=True, kw_only=True)
class _Pilot:
    """The first steps that are timed.

    Args:
        few: seconds of a step of a few images.
        each: seconds of a step for each of its images: of the whole batch where its steps fit into PILOT_SECONDS, else
            of the few.
        is_whole: whether it is that of the whole batch.
    """

    few: float
    each: float
    is_whole: bool


def _pilot(work: Work, *, fastest: bool) -> _Pilot:
    few, batch = _timed_step(work.part(LEAST_IMAGES), seconds=0.0, fastest=fastest), len(work.batch.pixels)
    each = few / min(LEAST_IMAGES, batch)
    if batch <= LEAST_IMAGES or (LEAST_STEPS + 1) * each * batch > PILOT_SECONDS:
        return _Pilot(few=few, each=each, is_whole=batch <= LEAST_IMAGES)
    # In a step of few images, what each step costs whatever its size is a large part.
    return _Pilot(few=few, each=_timed_step(work, seconds=0.0, fastest=fastest) / batch, is_whole=True)


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


def _timed_step(work: Work, *, seconds: float, fastest: bool) -> float:
    """Return the seconds of a step; 0 where it can't be timed."""
    trial = run_trial(work, work.settings.resolved.mode, seconds=seconds)
    if fastest:
        return trial.fastest_step
    return trial.images / trial.images_per_second if trial.images_per_second else 0.0


def _images_for(seconds: float, each: float, *, most: int) -> int:
    if not each:
        return most
    more = min(MORE_IMAGES, math.ceil(MORE_TIMES * seconds / each))
    return min(most, max(LEAST_IMAGES, more, math.ceil(seconds / each)))


def _at_side(work: Work, side: float) -> Work:
    height, width = (max(1, round(length * side)) for length in work.batch.pixels.shape[2:])
    pixels = scaled_down(work.batch.pixels, (height, width))
    return replace(work, batch=TrainingBatch(pixels, work.batch.targets, work.batch.images))


def _seconds_to_prepare(resolved: ResolvedRecipe, spec: ModelSpec, train: ImageSet) -> float:
    """Return the seconds in which a batch is gathered and augmented."""
    batches = batches_of(loop_settings(resolved, spec, train), train)
    return _timed(lambda: batches.first())


def _forward_seconds(
    resolved: ResolvedRecipe, spec: ModelSpec, network: nn.Module, images: ImageSet, *, in_mode: bool, effort: float
) -> float:
    """Return the seconds in which a view is answered: between epochs in the mode of a step, at the end in fp32."""
    mode = replace(resolved.mode, compile="no")
    network = network.to(resolved.device)
    mode.lay_out(network)
    forward = mode.forward_of(network) if in_mode else None

    def measure(count: int) -> float:
        part = images.part(slice(0, count))

        def scores() -> object:
            return scores_of_images(
                network, part, spec.normalization, views=ONE, device=resolved.device, forward=forward
            )

        return _timed(scores) / len(part)

    with computing(mode, resolved.device):
        few = measure(min(LEAST_IMAGES, len(images)))
        most = min(evaluation_batch(images.images.shape[1:]), len(images))
        count = _images_for(effort * FORWARD_SECONDS, few, most=most)
        return few if count <= LEAST_IMAGES else measure(count)


def _timed(work: Callable[[], object]) -> float:
    """Return the seconds that work takes: the less of two, after a first time that sets it up."""

    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    once()
    return min(once(), once())
