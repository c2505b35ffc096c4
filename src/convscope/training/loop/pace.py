"""The plan of a training while it runs: the pacer of the first process decides for all, and reports each change."""

from __future__ import annotations

from collections.abc import Callable

import torch

from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.state import TrainingState
from convscope.training.timing.early_end import steps_with_rest
from convscope.training.timing.pacer import Pacer

# Of changes of the plan, those of more than this share of its steps are said.
REPORTED_FROM = 0.03


class Pace:
    """Changes the plan of a training state as the pacer decides; without a pacer it stays.

    Every process of a group has a pacer or none has, for the first one's plan is sent to all.
    """

    def __init__(
        self,
        state: TrainingState,
        pacer: Pacer | None,
        group: ProcessGroup,
        notify: Callable[[str], None],
        *,
        validated: int = 0,
    ) -> None:
        self._state = state
        self._pacer = pacer
        self._group = group
        self._notify = notify
        self._validated = validated
        self._rests = False
        # The number of steps in the last line, and each change since then, with its reason.
        self._reported = state.planned.steps
        self._changes: list[tuple[int, str]] = []

    def epoch_began(self) -> None:
        """Count the time of the next step from now on."""
        if self._pacer is not None:
            self._pacer.epoch_began()

    def leave_out(self, seconds: float) -> None:
        """Leave out seconds in which the training was paused."""
        if self._pacer is not None:
            self._pacer.leave_out(seconds)

    def step_ended(self, step: int) -> None:
        """Observe the time that a step took."""
        if self._pacer is not None:
            self._pacer.step_ended(self._state.planned, step)

    def before_step(self, step: int) -> None:
        """Change the plan within an epoch, where the time would run out."""
        plan = self._state.planned
        if self._pacer is not None and 0 < step < plan.steps:
            self._change(step, lambda pacer: pacer.within_epoch(plan, step))

    def between_epochs(self) -> None:
        """Change the plan after an epoch that is not the last: by its time, or to an early end."""
        if self._pacer is None:
            return
        self._pacer.epoch_ended()
        plan = self._state.planned
        step = self._state.epoch * plan.epoch_steps
        if step < plan.steps:
            self._change(step, lambda pacer: self._early_end(pacer) or pacer.between_epochs(plan, step))
        # Within the last epoch the plan may have become shorter than that epoch.
        self._report(min(step, self._state.planned.steps))

    def _early_end(self, pacer: Pacer) -> int | None:
        """Return the steps with which the training ends, once, where its validation is flat."""
        state = self._state
        if not pacer.ends_early:
            return None
        accuracies = [row.val_accuracy for row in state.rows]
        steps = steps_with_rest(state.planned, state.epoch, accuracies, images=self._validated)
        if steps is not None:
            self._rests = True
            pacer.end_after(steps)
        return steps

    def seconds_left(self, step: int) -> float | None:
        """Return the seconds from a step to the end of the command; None where no step was measured before."""
        return None if self._pacer is None else self._pacer.seconds_left(self._state.planned, step)

    def _change(self, step: int, decide: Callable[[Pacer], int]) -> None:
        """Take the number of steps that the first process decides on."""
        assert self._pacer is not None
        plan, pacer = self._state.planned, self._pacer
        if not pacer.decides:
            return
        own = decide(pacer) if self._group.first else 0
        steps = int(self._group.total(torch.tensor([own], dtype=torch.float64)).item())
        if steps == plan.steps:
            return
        self._state.plan = plan.replanned(at=step, steps=steps)
        why = pacer.reason
        if self._rests and steps == pacer.most_steps:
            why = f"validation is flat, so the learning rate goes to its end in {steps - step:,} steps"
        self._state.reasons[step] = why
        self._changes.append((steps - plan.steps, why))

    def _report(self, step: int) -> None:
        """Notify once an epoch of how the plan has changed, where that is a part of the training that matters.

        On a machine with other work the plan changes often and by little; each change is in the checkpoint. The reason
        is that of the largest change in the same direction since the last line.
        """
        pacer, steps = self._pacer, self._state.planned.steps
        assert pacer is not None
        ends_early = self._rests and steps == pacer.most_steps and self._reported != steps
        if not self._group.first or not (ends_early or abs(steps - self._reported) > REPORTED_FROM * self._reported):
            return
        sign = 1 if steps > self._reported else -1
        _, why = self._changes[-1] if ends_early else max(self._changes, key=lambda change: sign * change[0])
        self._notify(f"planned again after step {step:,}: {steps:,} steps, not {self._reported:,}: {why}")
        self._reported, self._changes = steps, []
