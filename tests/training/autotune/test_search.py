"""Laws of the choice, on machines whose speed is a table."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.files.fields import Fields
from convscope.hardware.mode import ComputeMode
from convscope.training.autotune.record import ComputePlan, ModeTrial
from convscope.training.autotune.search import CLEARLY, Choices, search, total_seconds

PLAIN = ComputeMode(precision="fp32", memory_format="contiguous", compile="no", threads=4)
RULES = replace(PLAIN, precision="bf16", memory_format="channels-last")
ALL = frozenset({"precision", "memory_format", "compile", "threads"})
IMAGES = 10**7
MODES = [
    ComputeMode(precision=precision, memory_format=layout, compile="no", threads=threads)
    for precision, layout, threads in itertools.product(("fp32", "bf16"), ("contiguous", "channels-last"), (1, 2, 4))
]


def _allowed(open_fields: frozenset[str] = ALL, fixed: ComputeMode = RULES, **changes: object) -> Choices:
    choices = Choices(
        fixed=fixed, open=open_fields, arithmetics=("bf16",), most_threads=4, compiles=(), images_left=IMAGES
    )
    return replace(choices, **changes)  # type: ignore[arg-type]


def _trial(mode: ComputeMode, rate: float, losses: tuple[float, ...] = (2.3, 2.2), **others: float) -> ModeTrial:
    known = {"spread": 0.0, "first_step": 0.0, **others}
    return ModeTrial(mode=mode, images=64, images_per_second=rate, losses=losses, **known)


@given(st.fixed_dictionaries({mode: st.floats(1, 1000) for mode in MODES}))
def test_what_is_taken_is_no_slower_than_anything_that_was_tried(rates: dict[ComputeMode, float]) -> None:
    plan = search(_allowed(), lambda mode: _trial(mode, rates[mode]), in_time=lambda: True)
    assert plan is not None
    assert plan.plain.mode == PLAIN
    assert plan.gain >= 1
    assert all(plan.chosen.images_per_second * CLEARLY >= trial.images_per_second for trial in plan.trials)
    assert len({trial.mode for trial in plan.trials}) == len(plan.trials)
    assert ComputePlan.from_fields(Fields(json.loads(json.dumps(plan.to_dict())))) == plan


@given(st.sets(st.sampled_from(sorted(ALL))), st.sampled_from(MODES))
def test_what_was_said_is_never_changed(open_fields: set[str], said: ComputeMode) -> None:
    """Where only what is open may change, the rest is as it was said, however slow."""
    plan = search(
        _allowed(frozenset(open_fields), said),
        lambda mode: _trial(mode, 1000 if mode == RULES else 1),
        in_time=lambda: True,
    )
    assert plan is not None
    for name in ALL - open_fields:
        assert getattr(plan.mode, name) == getattr(said, name)


@pytest.mark.parametrize("losses", [(2.3, 2.6), (float("nan"), 2.2), (2.3, float("inf"))])
def test_a_mode_whose_loss_departs_is_dropped_and_said_so(losses: tuple[float, float]) -> None:
    def run(mode: ComputeMode) -> ModeTrial:
        return _trial(mode, 100, losses) if mode.precision == "bf16" else _trial(mode, 10)

    plan = search(_allowed(), run, in_time=lambda: True)
    assert plan is not None
    assert plan.mode.precision == "fp32"
    assert "its loss is" in plan.lines()[1]


@pytest.mark.parametrize(("of_rules", "taken"), [(10, RULES), (1, PLAIN), (0.5, PLAIN)])
def test_without_time_plain_and_the_rules_mode_are_tried_and_that_is_said(of_rules: float, taken: ComputeMode) -> None:
    plan = search(_allowed(), lambda mode: _trial(mode, of_rules if mode == RULES else 1), in_time=lambda: False)
    assert plan is not None
    assert [trial.mode for trial in plan.trials] == [PLAIN, RULES] and plan.mode == taken
    assert "not every way was tried" in plan.lines()[1]


@pytest.mark.parametrize(("images", "compiled"), [(10**4, "no"), (10**6, "yes")])
def test_compiling_counts_its_own_time(images: int, compiled: str) -> None:
    """At 100 images a second more, 30 s of compiling are won back by half a million images and not by ten thousand."""

    def run(mode: ComputeMode) -> ModeTrial:
        return _trial(mode, 1100, first_step=30.0) if mode.compile == "yes" else _trial(mode, 1000)

    plan = search(_allowed(compiles=("yes",), images_left=images), run, in_time=lambda: True)
    assert plan is not None
    assert plan.mode.compile == compiled
    assert total_seconds(run(replace(PLAIN, compile="yes")), 11_000) == pytest.approx(40, rel=0.01)


def test_fewer_threads_are_tried_for_as_long_as_they_are_faster() -> None:
    seen = []

    def run(mode: ComputeMode) -> ModeTrial:
        seen.append(mode.threads)
        return _trial(mode, {8: 10, 4: 20, 2: 15, 1: 99}[mode.threads])

    plan = search(
        _allowed(frozenset({"threads"}), replace(PLAIN, threads=8), most_threads=8), run, in_time=lambda: True
    )
    assert plan is not None
    assert (plan.mode.threads, seen) == (4, [8, 4, 2])


def test_a_network_whose_plain_loss_is_no_number_is_left_to_the_rules() -> None:
    dropped = replace(_trial(PLAIN, 1), dropped="its loss is not a number")
    assert search(_allowed(), lambda mode: dropped, in_time=lambda: True) is None


def test_beside_other_work_the_threads_stay_and_modes_are_compared_as_without_it() -> None:
    # Median steps of bf16 are slower only because of the other work; its fastest one is not.
    def run(mode: ComputeMode) -> ModeTrial:
        bf16 = mode.precision == "bf16"
        return _trial(mode, 50 if bf16 else 100, waited=0.5, fastest_step=0.2 if bf16 else 0.6)

    plan = search(_allowed(), run, in_time=lambda: True)
    assert plan is not None and plan.noisy and "waited for a core 50 % of the time" in plan.lines()[1]
    assert (plan.mode.precision, plan.mode.threads) == ("bf16", 4)
    assert {trial.mode.threads for trial in plan.trials} == {4}
    alone = search(_allowed(), lambda mode: replace(run(mode), waited=0.05), in_time=lambda: True)
    assert alone is not None and alone.mode.precision == "fp32" and not alone.noisy
    assert {trial.mode.threads for trial in alone.trials} == {2, 4}
