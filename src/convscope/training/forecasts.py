"""The forecast of a training with images that are open: of a whole one, of what is left of one, of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from convscope.data.records import Dataset
from convscope.hardware.machine import resident_memory
from convscope.nets.build import smallest_input
from convscope.nets.own_code import is_own
from convscope.nets.whiten import Whitening
from convscope.report.usage import settings_text
from convscope.runs.checkpoint import KEPT
from convscope.scoring.answer import evaluation_batch
from convscope.training.autotune.measured_costs import sides_of
from convscope.training.resolve.head import SOLVE
from convscope.training.resolve.memory import STATE_TENSORS, Surgery, step_bytes, unchanged
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.start import images_to_fit
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import FasterChoice, Forecast, forecast_of
from convscope.training.timing.step_plan import StepPlan
from convscope.training.timing.time_budget import MINUTE, SMALLEST

BYTES = 4
# The time budget that a long training is offered.
OFFERED_MINUTES = 30
# Of what a step keeps of an image for its backward pass, a forward pass alone holds about this share at once.
HELD_AT_ONCE = 1 / 6


def forecast_training(
    resolved: ResolvedRecipe,
    dataset: Dataset,
    costs: Costs,
    plan: StepPlan,
    *,
    begun: float,
    since: int = 0,
    ends_early: bool = False,
    best_epoch: int | None = None,
    resident_before: int | None = None,
    surgeries: Sequence[Surgery] = (unchanged,),
) -> Forecast:
    """Return the forecast of the steps of a plan from `since` on, after `begun` seconds.

    `ends_early` says whether the training may end early where its validation is flat; `best_epoch` is the best one so
    far, if there is one, from which `patience` counts.

    Memory is that of a training step, and unknown where none is left; and that of the process, where the bytes are
    given that it had in memory before a step was timed. `surgeries` are as in `step_bytes`.
    """
    of_step = step_bytes(resolved, surgeries=surgeries) if plan.steps > since else None
    return forecast_of(
        costs,
        plan,
        sides_of(resolved),
        begun=begun,
        since=since,
        ends_early=ends_early and dataset.val is not None,
        patience=resolved.patience if dataset.val is not None else 0,
        best_epoch=(0 if resolved.head == SOLVE else 1) if best_epoch is None else best_epoch,
        process_bytes=_process_bytes(resolved, dataset, of_step, plan, since=since, before=resident_before),
        step_bytes=of_step,
        cache_bytes=_cached_bytes(dataset),
        run_bytes=_run_bytes(resolved),
    )


def with_faster(
    forecast: Forecast,
    resolved: ResolvedRecipe,
    costs: Costs,
    plan: StepPlan,
    *,
    since: int = 0,
    new: bool = True,
    epochs: bool = True,
    minutes: bool = True,
) -> Forecast:
    """Return a long forecast with what fewer epochs, smaller images and a time budget would take instead.

    Args:
        forecast: of one training, or of several.
        resolved: its recipe.
        costs: of its parts.
        plan: of its steps.
        since: the step from which it goes on.
        new: whether its images may have another size: it has not begun yet.
        epochs: whether its epochs were not planned for a time budget.
        minutes: whether it may have a time budget.
    """
    if not forecast.is_long:
        return forecast
    sides, done = sides_of(resolved), since // plan.epoch_steps
    of_one = forecast_of(costs, plan, sides, begun=0.0, since=since).seconds
    each = (forecast.seconds - forecast.begun) / of_one if of_one else 1.0

    def whole(costs: Costs, count: int) -> float:
        shorter = StepPlan.of(count * plan.epoch_steps, epoch_steps=plan.epoch_steps)
        return forecast.begun + each * forecast_of(costs, shorter, sides, begun=0.0, since=since).seconds

    left, found = plan.epochs - done, list[FasterChoice]()
    for fewer in (left // 2, left // 4):
        if fewer and epochs:
            found.append(FasterChoice(setting=settings_text(epochs=done + fewer), seconds=whole(costs, done + fewer)))
    if new and (size := half_the_size(resolved)):
        smaller = whole(costs.of_pixels(1 / 4), plan.epochs)
        found.append(FasterChoice(setting=settings_text(image_size=size), seconds=smaller))
    # Minutes that do not hold an epoch are refused; those that are added to a run need not hold one.
    if minutes and (since or whole(costs, 1) <= OFFERED_MINUTES * MINUTE):
        offered = settings_text(minutes=OFFERED_MINUTES)
        found.append(FasterChoice(setting=offered, seconds=OFFERED_MINUTES * MINUTE))
    return replace(forecast, faster=tuple(choice for choice in found if choice.seconds < forecast.seconds))


def forecast_notices(forecast: Forecast) -> Iterator[Notice]:
    """Yield the lines of a forecast as messages."""
    yield from (Notice(topic="forecast", message=line) for line in forecast.lines)


def half_the_size(resolved: ResolvedRecipe) -> str:
    """Return half of the images' size as a setting; empty where the network takes no smaller ones."""
    height, width = resolved.decoding.size
    half = (height // 2, width // 2)
    takes = smallest_input(resolved.model) if not is_own(resolved.model) else half
    if min(half) < SMALLEST or any(side < least for side, least in zip(half, takes, strict=False)):
        return ""
    return str(half[0]) if half[0] == half[1] else "x".join(map(str, half))


def _process_bytes(
    resolved: ResolvedRecipe, dataset: Dataset, of_step: int | None, plan: StepPlan, *, since: int, before: int | None
) -> int | None:
    """Return the most memory that the process takes; None where that can't be told.

    It is what the process has now, with what steps that were timed have left to be used again, what a step takes beyond
    that, and what the larger blocks take: the first layer's fit, the validation, and the checkpoints.
    """
    now = resident_memory()
    if now is None or before is None or of_step is None or resolved.device != "cpu":
        return None
    weights, state = BYTES * resolved.parameters, STATE_TENSORS[resolved.optimizer]
    held = 1 + state + (1 if resolved.ema_epochs else 0)
    # A checkpoint and the best weights are copied, and made into the bytes of a file. Between two epochs a checkpoint
    # is held, and the room of its file is not used again for smaller tensors.
    copies = 1 + 2 * (held + 1) + (2 * held + 1 if plan.epochs > 1 else 0)
    of_image = max(0, of_step - (2 + state) * weights) / resolved.batch_size
    measured = max((len(part) for part in (dataset.val, dataset.test) if part is not None), default=0)
    at_once = min(measured, evaluation_batch(resolved.decoding.image_shape))
    to_fit = 0 if since else _bytes_to_fit(resolved, dataset)
    to_measure = round(at_once * of_image * HELD_AT_ONCE)
    return now + max(0, of_step - (now - before)) + to_fit + to_measure + copies * weights


def _bytes_to_fit(resolved: ResolvedRecipe, dataset: Dataset) -> int:
    """Return the memory in which a first layer is fitted to the training images; 0 where none is."""
    if dataset.train is None or resolved.starts_trained:
        return 0
    height, width = dataset.train.images.shape[1:3]
    layers = (layer for layer in resolved.architecture.on_meta().modules() if isinstance(layer, Whitening))
    return sum(layer.bytes_to_fit(images_to_fit(dataset.train), height, width) for layer in layers)


def _cached_bytes(dataset: Dataset) -> int:
    """Return the bytes of the decoded images in the cache; 0 where none are kept there."""
    if dataset.cache_path is None:
        return 0
    return sum(prod(images.images.shape) for images in dataset.splits.values())


def _run_bytes(resolved: ResolvedRecipe) -> int:
    """Return the bytes of the weights and of the checkpoints that are kept, each with the optimizer's state."""
    averaged = 1 if resolved.ema_epochs else 0
    of_checkpoint = 2 + STATE_TENSORS[resolved.optimizer] + averaged
    return BYTES * resolved.parameters * (1 + KEPT * of_checkpoint)
