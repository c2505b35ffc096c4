"""The learning rate's course: laws that every schedule keeps, and the shape of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.errors import RunError
from convscope.training.optim.schedule import END_FACTOR, SCHEDULES, START_FACTOR, learning_rate_factor, plateau_drops

_STEPS = st.integers(1, 300)
_WARMUP = st.floats(0, 0.9)


def _course(schedule: str, steps: int, warmup: float) -> list[float]:
    return [learning_rate_factor(schedule, step=step, steps=steps, warmup=warmup) for step in range(steps)]


@given(st.sampled_from(sorted(SCHEDULES)), _STEPS, _WARMUP)
def test_a_rate_rises_once_then_never_again(schedule: str, steps: int, warmup: float) -> None:
    epoch_order = _course(schedule, steps, warmup)
    assert all(0 < factor <= 1 for factor in epoch_order)
    top = epoch_order.index(max(epoch_order))
    assert epoch_order[: top + 1] == sorted(epoch_order[: top + 1])
    assert epoch_order[top:] == sorted(epoch_order[top:], reverse=True)


@given(st.sampled_from(["one-cycle", "cosine"]), st.integers(3, 300), _WARMUP)
def test_a_cycle_ends_near_nothing(schedule: str, steps: int, warmup: float) -> None:
    assert _course(schedule, steps, warmup)[-1] == pytest.approx(END_FACTOR)


def test_warmup_starts_low() -> None:
    assert _course("constant", 11, 0.5)[0] == START_FACTOR
    assert _course("constant", 11, 0.5)[5:] == [1.0] * 6


def test_steps_drop_tenfold_at_half_and_three_quarters() -> None:
    epoch_order = _course("step", 101, 0.0)
    assert (epoch_order[49], epoch_order[50], epoch_order[74], epoch_order[75]) == (1.0, 0.1, 0.1, 0.01)


def test_a_triangle_falls_from_the_first_step_to_nothing() -> None:
    assert _course("triangular", 4, 0.0) == [1.0, 0.75, 0.5, 0.25]
    risen = _course("triangular", 10, 0.4)
    assert risen[4] == 1.0 and risen[:4] == [0.2, 0.4, 0.6, 0.8]
    assert risen[5:] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_a_plateau_drops_tenfold_after_three_epochs_without_a_better_one_and_three_times_at_most() -> None:
    def rate(*accuracies: float) -> float:
        return learning_rate_factor("plateau", step=5, steps=10, warmup=0.0, accuracies=accuracies)

    assert rate() == rate(0.5, 0.5, 0.4) == rate(0.5, 0.4, 0.4, 0.6) == 1.0
    assert rate(0.5, 0.5, 0.4, 0.3) == rate(0.5, 0.5, 0.4, 0.3, 0.6, 0.6, 0.6) == 0.1
    assert rate(0.5, *[0.5] * 6) == 0.01
    assert rate(0.5, *[0.5] * 30) == 0.001
    assert plateau_drops([None] * 30) == 0  # nothing is known to have stopped improving


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(RunError, match="Did you mean cosine"):
        learning_rate_factor("cosin", step=0, steps=1, warmup=0.0)
