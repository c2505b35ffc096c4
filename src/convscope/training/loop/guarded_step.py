"""A step whose numbers are looked at, at once or a step later: where one is not finite, training ends and says why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from convscope.errors import RunError
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.deferred_check import DeferredCheck, StepInput
from convscope.training.loop.diagnosis import Diagnosis, diagnose, largest_gradient
from convscope.training.loop.state import Settings, TrainingState
from convscope.training.optim.step import descend, differentiate


class DivergedError(RunError):
    """The loss stopped being a number.

    `of_data` says that the images or labels had brought one that is none, `of_class_weights` that these made it so.
    """

    def __init__(self, message: str, *, of_data: bool = False, of_class_weights: bool = False) -> None:
        super().__init__(message)
        self.of_data = of_data
        self.of_class_weights = of_class_weights

    @classmethod
    def at(cls, what: str, value: float, *, epoch: int, step: int, rate: float, found: Diagnosis) -> DivergedError:
        """What became so, where (after `epoch` complete ones), and why, as far as was found."""
        where = f"{what} became {value} at epoch {epoch + 1}, step {step}, with learning rate {rate:.3g}"
        return cls(f"{where}: {found.text}", of_data=found.of_data, of_class_weights=found.of_class_weights)


# How many images a step had, their mean loss, unsmoothed, and how many were answered rightly.
StepStats = tuple[int, float, int]


def guarded_step(
    state: TrainingState, settings: Settings, taken: StepInput, group: ProcessGroup, behind: DeferredCheck | None
) -> StepStats | None:
    """One step of gradient descent on a batch, and what it measured; with `behind`, what the step before measured.

    Raises:
        DivergedError: the loss or a gradient is not finite.
    """
    labels = taken.labels
    # The shares' gradients add up to that of the mean over the global batch.
    weight = len(labels) / taken.images
    judged = differentiate(
        state.network, state.forward, state.optimizer, settings.objective, taken.pixels, labels, weight=weight
    )
    with torch.no_grad():
        plain = settings.objective.plain(judged.scores, labels)
        right = settings.objective.count_right(judged.scores, labels)
        numbers = (judged.main * weight, plain * weight, right, largest_gradient(state.network))
        counted: StepStats | None
        if behind is None:
            counted = _checked(state, settings, taken, group.add_up(state.network, numbers))
        else:
            counted = read_held(state, settings, behind)
            behind.hold(taken, numbers)
    descend(state.network, state.optimizer, gradient_clip=settings.resolved.gradient_clip)
    return counted


def read_held(state: TrainingState, settings: Settings, behind: DeferredCheck) -> StepStats | None:
    """What the step measured that is held, if any is; weights and gradients are its own where it went wrong."""
    held = behind.read()
    if held is None:
        return None
    taken, numbers = held
    if not _is_finite(numbers):
        behind.put_back()
        forward = replace(settings.resolved.mode, compile="no").forward_of(state.network)
        with torch.enable_grad():
            differentiate(
                state.network, forward, state.optimizer, settings.objective, taken.pixels, taken.labels, weight=1.0
            )
    return _checked(state, settings, taken, numbers)


def _is_finite(numbers: Sequence[float]) -> bool:
    value, _, _, steepest = numbers
    return math.isfinite(value) and math.isfinite(steepest)


def _checked(state: TrainingState, settings: Settings, taken: StepInput, numbers: Sequence[float]) -> StepStats:
    """What a step measured; raises DivergedError where it is not finite, with the network as it was in that step."""
    value, loss, right, steepest = numbers
    if not _is_finite(numbers):
        what = ("the loss", value) if not math.isfinite(value) else ("a gradient", steepest)
        forward = replace(settings.resolved.mode, compile="no").forward_of(state.network)
        found = diagnose(state.network, forward, settings.objective, taken.pixels, taken.labels)
        raise DivergedError.at(*what, epoch=state.epoch, step=taken.step + 1, rate=taken.rate, found=found)
    return taken.images, loss, int(right)
