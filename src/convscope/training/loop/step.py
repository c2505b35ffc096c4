"""One step of gradient descent: gradients, the check that loss and gradients are finite, the optimizer's step.

A loss must be known to be finite before its gradients are used. Reading it at once makes a GPU idle until the next
step's kernels arrive. `DeferredCheck` takes the step anyway, keeps the weights from before it, and copies the numbers
to the CPU meanwhile; they are read once the next step's gradients are queued. If they are not finite, the kept weights
are restored, so that the network is exactly that of the failed step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from convscope.data.training_batches import TrainingBatch
from convscope.errors import RunError
from convscope.hardware.mode import ForwardPass
from convscope.report.usage import setting_name
from convscope.scoring.objective import LossOutput, Objective
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_batch_norm import without_share
from convscope.training.loop.nonfinite import Diagnosis, DivergedError, broken_weights, diagnose, largest_gradient
from convscope.training.loop.state import Settings, TrainingState


@dataclass(frozen=True)
class StepInput:
    """A step's batch, its number in the run from 0, and its learning rate."""

    batch: TrainingBatch
    step: int
    rate: float


# Images of a step, their mean loss (without label smoothing), and how many were predicted correctly.
StepStats = tuple[int, float, int]


class DeferredCheck:
    """The last step that was taken on a network, while its numbers are not yet read."""

    def __init__(self, network: nn.Module) -> None:
        self._weights = [parameter.detach() for parameter in network.parameters()]
        self._before = [torch.empty_like(weight) for weight in self._weights]
        self._held: tuple[StepInput, Tensor, torch.cuda.Event | None] | None = None

    def hold(self, inputs: StepInput, numbers: Sequence[Tensor]) -> None:
        """Keep a step's numbers (scalars) and the weights as they are, before the step changes them."""
        torch._foreach_copy_(self._before, self._weights)
        stacked = torch.stack([number.float() for number in numbers])
        # To pinned memory, after what is queued now and before what is queued later: the event says when.
        on_cpu = stacked.to("cpu", non_blocking=True)
        copied = torch.cuda.current_stream(stacked.device).record_event() if stacked.is_cuda else None
        self._held = inputs, on_cpu, copied

    def read(self) -> tuple[StepInput, list[float]] | None:
        """Return the held step and its numbers, once; None where none is held."""
        if self._held is None:
            return None
        inputs, on_cpu, copied = self._held
        self._held = None
        if copied is not None:
            copied.synchronize()
        return inputs, on_cpu.tolist()

    def restore(self) -> None:
        """Restore the weights from before the step that was held last."""
        torch._foreach_copy_(self._weights, self._before)


def differentiate(
    state: TrainingState,
    objective: Objective,
    batch: TrainingBatch,
    *,
    weight: float = 1.0,
    forward: ForwardPass | None = None,
) -> LossOutput:
    """Leave the gradients of a batch's loss, times `weight`, in the parameters; `forward` replaces the state's own."""
    output = objective.of_answer(state.network, (forward or state.forward)(batch.pixels), batch.targets)
    if not output.loss.requires_grad:
        raise RunError(
            "the loss depends on no weight that is trained: the network's scores come from frozen parts, or without "
            f"gradients (no_grad, detach, argmax); see {setting_name('freeze')}"
        )
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(output.loss * weight)
    return output


def losses_of(output: LossOutput, objective: Objective, batch: TrainingBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is measured of a step: the loss of the main scores, the plain loss, the number that is right."""
    plain = objective.plain(output.scores, batch.targets)
    return output.main, plain, objective.count_right(output.scores, batch.targets)


def descend(state: TrainingState, *, gradient_clip: float) -> None:
    """Take the optimizer's step along the gradients, clipped to a norm where that is not 0."""
    if gradient_clip:
        nn.utils.clip_grad_norm_(state.network.parameters(), gradient_clip, error_if_nonfinite=False)
    state.optimizer.step()


def guarded_step(
    state: TrainingState, settings: Settings, inputs: StepInput, group: ProcessGroup, deferred: DeferredCheck | None
) -> StepStats | None:
    """Take one step on a batch and return what it measured; with `deferred`, what the step before measured.

    Raises:
        DivergedError: the loss or a gradient is not finite.
    """
    with state.norms.watching(inputs.step, inputs.batch.pixels) if state.norms else nullcontext():
        measured = _measured(state, settings, inputs.batch)
    with torch.no_grad():
        numbers = (*measured, largest_gradient(state.network))
        stats: StepStats | None
        if deferred is None:
            stats = _checked(state, settings, inputs, group.add_up(state.network, numbers))
        else:
            stats = read_held(state, settings, deferred)
            deferred.hold(inputs, numbers)
        if state.norms is not None:
            state.norms.take(inputs.step)
    descend(state, gradient_clip=settings.resolved.gradient_clip)
    return stats


def _measured(state: TrainingState, settings: Settings, batch: TrainingBatch) -> tuple[Tensor, ...]:
    """Leave this process's part of the gradients, and return its part of two losses and of the correct predictions."""
    # Weighted so that the gradients of all processes' shares add up to that of the mean over the whole batch.
    weight = len(batch.targets) / batch.images
    if weight:
        output = differentiate(state, settings.objective, batch, weight=weight)
        with torch.no_grad():
            value, plain, right = losses_of(output, settings.objective, batch)
            return value * weight, plain * weight, right
    state.optimizer.zero_grad(set_to_none=True)
    if (scores := _take_part(state, batch)) is not None:
        torch.autograd.backward(scores)
    return batch.pixels.new_zeros(3).unbind()


def read_held(state: TrainingState, settings: Settings, deferred: DeferredCheck) -> StepStats | None:
    """Return what the held step measured, if one is held.

    Raises:
        DivergedError: it is not finite; weights and gradients are then those of that step.
    """
    held = deferred.read()
    if held is None:
        return None
    inputs, numbers = held
    if not _is_finite(numbers):
        deferred.restore()
        with torch.enable_grad():
            differentiate(state, settings.objective, inputs.batch, forward=_uncompiled(state, settings))
    return _checked(state, settings, inputs, numbers)


def _take_part(state: TrainingState, batch: TrainingBatch) -> Tensor | None:
    """Take part in the other processes' step on a batch of which this one has no share.

    Only a shared batch normalization waits for it: an image of zeros goes through the network then, and the sum of its
    scores times 0 is returned, so that a backward pass leaves gradients of 0.
    """
    with without_share(state.network) as awaited:
        if not awaited:
            return None
        answer = state.forward(batch.pixels.new_zeros((1, *batch.pixels.shape[1:])))
        scores, *early = answer if isinstance(answer, tuple) else (answer,)
        total: Tensor = sum((head.sum() for head in early), scores.sum()) * 0.0
        return total


def _is_finite(numbers: Sequence[float]) -> bool:
    value, _, _, steepest = numbers
    return math.isfinite(value) and math.isfinite(steepest)


def _checked(state: TrainingState, settings: Settings, inputs: StepInput, numbers: Sequence[float]) -> StepStats:
    """Return what a step measured; raise DivergedError where it is not finite, with the network as in that step."""
    value, loss, correct, steepest = numbers
    batch = inputs.batch
    if not _is_finite(numbers):
        what = ("the loss", value) if not math.isfinite(value) else ("a gradient", steepest)
        raise DivergedError.at(
            *what, epoch=state.epoch, step=inputs.step + 1, rate=inputs.rate, found=_found(state, settings, batch)
        )
    return batch.images, loss, int(correct)


def _found(state: TrainingState, settings: Settings, batch: TrainingBatch) -> Diagnosis:
    """Return where the first number is that is not finite in this process's share."""
    if len(batch.targets):
        forward = _uncompiled(state, settings)
        return diagnose(state.network, forward, settings.objective, batch.pixels, batch.targets)
    if weights := broken_weights(state.network):
        return weights
    with torch.no_grad():
        _take_part(state, batch)
    return Diagnosis(text="it is in another process's share of the batch")


def _uncompiled(state: TrainingState, settings: Settings) -> ForwardPass:
    """Return the forward pass that calls the modules' hooks: a compiled one does not."""
    return replace(settings.resolved.mode, compile="no").forward_of(state.network)
