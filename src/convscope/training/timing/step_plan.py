"""The plan of a training's steps: how many there are, and where in the schedule each of them is.

The learning rate, progressive resizing and the shares for which parameters learn read `StepPlan.place`. A plan of one
piece places each step at its own number. Where a run turns out slower or faster than planned, a piece is added: the
rest of the same schedule in fewer or in more steps. A plan that becomes much longer goes back in its schedule, to where
it would be had it been so long from the start: else a run that is planned for one epoch on a busy machine, and then has
time for ten, takes nine of them at rates near the schedule's end. The plan is kept in the checkpoint, so that a
resumed run takes the same steps at the same learning rates without a look at the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from convscope.files.fields import Fields, in_short
from convscope.files.regular import UnreadableError
from convscope.runs.progress import MOST_STEPS

# A plan that becomes longer by this factor at once goes back in its schedule.
MUCH_LONGER = 1.5


@dataclass(frozen=True, kw_only=True)
class PlanPiece:
    """From step `at` (counted from 0) on, the training has `steps` steps in all."""

    at: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """How many steps a training takes, and the place of each in the schedule.

    Step number `n` of epoch `e`, both from 0, is step `e * epoch_steps + n`. An epoch that the plan cuts short keeps
    the numbers of the steps that it lacks: a run that is extended begins its next epoch at that epoch's own number.

    Args:
        epoch_steps: steps of a whole epoch, at least 1.
        pieces: the first is that of step 0, and its `steps` are those of the schedule; then each change.

    >>> plan = StepPlan.of(10, epoch_steps=4)
    >>> [plan.place(step) for step in (0, 5, 9)], plan.epochs
    ([0.0, 5.0, 9.0], 3)
    >>> shorter = plan.replanned(at=6, steps=8)
    >>> [shorter.place(step) for step in (5, 6, 7)], shorter.schedule_steps
    ([5.0, 7.0, 9.0], 10)
    """

    epoch_steps: int
    pieces: tuple[PlanPiece, ...]

    def __post_init__(self) -> None:
        assert self.epoch_steps >= 1 and self.pieces and self.pieces[0].at == 0
        for before, after in pairwise(self.pieces):
            assert before.at < after.at < min(before.steps, after.steps), "a plan is changed while steps are left"

    @classmethod
    def of(cls, steps: int, *, epoch_steps: int) -> StepPlan:
        """Return the plan of one piece; 0 steps leave the network as it is."""
        return cls(epoch_steps=epoch_steps, pieces=(PlanPiece(at=0, steps=steps),))

    @property
    def steps(self) -> int:
        """How many steps the training takes, by the last change."""
        return self.pieces[-1].steps

    @property
    def schedule_steps(self) -> int:
        """How many steps the schedule is made for: those of the first piece."""
        return self.pieces[0].steps

    @property
    def epochs(self) -> int:
        """How many epochs there are; the last one may be cut short."""
        return -(-self.steps // self.epoch_steps)

    def steps_of(self, epoch: int) -> int:
        """Return the number of steps of an epoch, counted from 0.

        >>> [StepPlan.of(10, epoch_steps=4).steps_of(epoch) for epoch in range(4)]
        [4, 4, 2, 0]
        """
        return min(self.epoch_steps, max(0, self.steps - epoch * self.epoch_steps))

    def place(self, step: int) -> float:
        """Return the place of a step in the schedule, from 0 to `schedule_steps - 1`; the last step's is the last."""
        last = max(0.0, self.schedule_steps - 1.0)
        if step >= self.steps - 1:
            return last
        before = -1.0  # the place of the step before the piece
        for piece, after in pairwise(self.pieces):
            if step < after.at:
                return _place_within(piece, step, before, last)
            before = _place_within(piece, after.at - 1, before, last)
            if _is_much_longer(piece, after):
                before = min(before, (last + 1) * after.at / after.steps - 1)
        return _place_within(self.pieces[-1], step, before, last)

    @property
    def rising(self) -> tuple[tuple[int, int], ...]:
        """The ranges of steps (from, to) within which no step is at an earlier place than the one before it.

        >>> StepPlan.of(10, epoch_steps=4).replanned(at=8, steps=40).rising
        ((0, 8), (8, 40))
        """
        backs = [after.at for before, after in pairwise(self.pieces) if _is_much_longer(before, after)]
        return tuple(pairwise((0, *backs, self.steps)))

    def first_from(self, place: float, *, within: tuple[int, int]) -> int:
        """Return the first step at this place or beyond it of a range in which places rise; its end where none is.

        >>> StepPlan.of(10, epoch_steps=4).first_from(4.5, within=(0, 10))
        5
        """
        low, high = within
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.place(middle) >= place else (middle + 1, high)
        return low

    def replanned(self, *, at: int, steps: int) -> StepPlan:
        """Return the plan with `steps` steps in all from step `at` on: the rest of the schedule is in those left.

        Where it becomes much longer, the schedule goes back to where it is `at` of `steps`.

        >>> StepPlan.of(10, epoch_steps=4).replanned(at=8, steps=40).place(8)
        1.25

        Both the plan and the change must leave a step: `at` is below the steps before and after.
        """
        if at == 0:
            return StepPlan.of(steps, epoch_steps=self.epoch_steps)
        earlier = tuple(piece for piece in self.pieces if piece.at < at)
        return replace(self, pieces=(*earlier, PlanPiece(at=at, steps=steps)))

    def in_epochs_of(self, epoch_steps: int) -> StepPlan:
        """Return the plan with as many epochs of other batches, of which an epoch has `epoch_steps`.

        >>> StepPlan.of(10, epoch_steps=4).in_epochs_of(8).steps
        20
        """
        if epoch_steps == self.epoch_steps:
            return self
        pieces: list[PlanPiece] = []
        for piece in self.pieces:
            at, steps = (-(-number * epoch_steps // self.epoch_steps) for number in (piece.at, piece.steps))
            if not pieces:
                pieces.append(PlanPiece(at=0, steps=steps))
            elif pieces[-1].at < at < min(steps, pieces[-1].steps):
                pieces.append(PlanPiece(at=at, steps=steps))
            else:  # fewer and larger batches: the change falls together with the one before it
                pieces[-1] = PlanPiece(at=pieces[-1].at, steps=max(steps, pieces[-1].at + 1))
        return StepPlan(epoch_steps=epoch_steps, pieces=tuple(pieces))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON has it.

        >>> StepPlan.of(10, epoch_steps=4).to_dict()
        {'epoch_steps': 4, 'pieces': [[0, 10]]}
        """
        return {"epoch_steps": self.epoch_steps, "pieces": [[piece.at, piece.steps] for piece in self.pieces]}

    @classmethod
    def from_fields(cls, fields: Fields) -> StepPlan:
        """Return the plan that `to_dict` made; raises UnreadableError where it is none.

        >>> plan = StepPlan.of(10, epoch_steps=4).replanned(at=4, steps=20)
        >>> StepPlan.from_fields(Fields(plan.to_dict())) == plan
        True
        """
        fields.require_only("epoch_steps", "pieces")
        epoch_steps = fields.integer("epoch_steps", at_least=1, at_most=MOST_STEPS)
        pairs = fields.pairs("pieces", at_least=0, at_most=MOST_STEPS)
        follow = all(a[0] < b[0] < min(a[1], b[1]) for a, b in pairwise(pairs))
        if not pairs or pairs[0][0] != 0 or not follow:
            raise UnreadableError(f"{fields.place}pieces is {in_short(pairs)}: it is no plan of steps")
        return cls(epoch_steps=epoch_steps, pieces=tuple(PlanPiece(at=at, steps=steps) for at, steps in pairs))


def _is_much_longer(before: PlanPiece, after: PlanPiece) -> bool:
    return after.steps >= MUCH_LONGER * before.steps


def _place_within(piece: PlanPiece, step: int, before: float, last: float) -> float:
    """Return the place of a step by its piece: from `before`, that of the step ahead of the piece, to `last`."""
    rate = (last - before) / (piece.steps - piece.at)
    return max(0.0, min(last, before + (step - piece.at + 1) * rate))
