"""Laws of a plan that is changed: a resumed run replays it bit for bit, and its learning rate reaches its end."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import convscope
import data_makers as made
from clocks import stop_clock
from convscope.recipe.setting import AUTO
from convscope.runs.checkpoint import load_checkpoint
from convscope.runs.events import Silent
from convscope.runs.run_directory import Run
from convscope.training import added_minutes, planned_time, resumed_run
from convscope.training.optim.schedule import learning_rate_factor
from convscope.training.session import Session
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.pacer import Pacer
from convscope.training.timing.step_plan import StepPlan
from convscope.training.train_run import train_on

# An epoch has 6 steps. Progressive resizing, weight averaging, augmentation, momentum: what reads the plan or draws.
RECIPE = convscope.Recipe(
    model="cifarnet-tiny",
    image_size="32",
    schedule="one-cycle",
    warmup=0.2,
    epochs=5,
    batch_size=8,
    flip=True,
    progressive_resize_start=0.5,
    progressive_resize_share=0.5,
    ema_epochs=0.5,
    precision="fp32",
    autotune="rules",
    threads=1,
    tta="one",
)
QUICK = convscope.Recipe(model="lenet5", epochs=3, batch_size=8, autotune="rules", threads=1)
DRAW = np.random.default_rng(0)
DATA = {
    "train": (DRAW.integers(0, 255, (48, 32, 32, 3), dtype=np.uint8), [number % 3 for number in range(48)]),
    "val": (DRAW.integers(0, 255, (9, 32, 32, 3), dtype=np.uint8), [number % 3 for number in range(9)]),
}


class _Scripted(Pacer):
    """Changes the plan at the steps that a test names."""

    def __init__(self, changes: dict[int, int]) -> None:
        costs = Costs(steps=((1.0, 1.0),), epoch_end=1.0, finish=1.0)
        super().__init__(costs=costs, sides=Sides(), clock=lambda: 0.0, deadline=1e9)
        self._changes = changes

    def within_epoch(self, plan: StepPlan, step: int) -> int:
        return self._changes.get(step, plan.steps) if step % plan.epoch_steps else plan.steps

    def between_epochs(self, plan: StepPlan, step: int) -> int:
        return self._changes.get(step, plan.steps)


def _trained(monkeypatch: pytest.MonkeyPatch, place: Path, changes: dict[int, int], stop: int = 0) -> convscope.Outcome:
    monkeypatch.setattr(Session, "pacer", lambda session: _Scripted(changes) if changes else None)

    def stop_after(row: convscope.EpochRow) -> None:
        if row.epoch == stop:
            raise convscope.StopTraining

    return convscope.train(DATA, RECIPE, runs_directory=place, on_epoch=stop_after)


def _weights(run: Run) -> dict[str, torch.Tensor]:
    saved = load_checkpoint(run.checkpoints)
    assert saved is not None
    return {**saved.model, **saved.average, **saved.optimizer}


# {12: 45} goes back in the schedule to where the whitening layer's bias, frozen since step 11, is trained.
@pytest.mark.parametrize("changes", [{}, {6: 20}, {9: 33, 12: 16}, {12: 45}])
def test_a_resumed_run_replays_its_plan(
    changes: dict[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _trained(monkeypatch, tmp_path / "whole", changes)
    stopped = _trained(monkeypatch, tmp_path / "stopped", changes, stop=2)
    monkeypatch.setattr(Session, "pacer", lambda session: None)
    resumed = convscope.train(DATA, resume=stopped)
    expected, found = _weights(whole.run), _weights(resumed.run)
    assert expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in expected)
    rows = [[replace(row, seconds=0, images_per_second=0, data_wait=0) for row in one.rows] for one in (whole, resumed)]
    assert rows[0] == rows[1]
    steps = list(changes.values())[-1] if changes else 30
    recipe = resumed.run.recipe()
    assert recipe == whole.run.recipe()
    assert (recipe.steps, recipe.epochs) == (steps if changes else AUTO, -(-steps // 6))
    # One-cycle of 30 steps ends at its last place, in however many steps.
    end = learning_rate_factor("one-cycle", step=29, steps=30, warmup=0.2)
    assert whole.rows[-1].learning_rate == pytest.approx(end * float(recipe.learning_rate), rel=1e-12)
    status = resumed.run.status()
    assert status is not None and (status.step, status.steps, status.epoch) == (steps, steps, len(whole.rows))


def test_steps_cut_the_last_epoch_short_and_are_the_same_in_a_repeated_run(tmp_path: Path) -> None:
    asked = RECIPE.changed({"epochs": AUTO, "steps": 15})
    first = convscope.train(DATA, asked, runs_directory=tmp_path)
    assert (first.epochs, first.run.recipe().epochs, first.run.recipe().steps) == (3, 3, 15)
    recipe = convscope.load_recipe(first.run.recipe_path).changed({"layout": AUTO})
    again = convscope.train(DATA, recipe, runs_directory=tmp_path)
    expected, found = _weights(first.run), _weights(again.run)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    # The epoch that was cut short stays so; the next ones are whole.
    longer = convscope.train(DATA, convscope.Recipe(epochs=4), resume=first)
    assert (longer.epochs, longer.run.recipe().epochs, longer.run.recipe().steps) == (4, 4, AUTO)
    with pytest.raises(convscope.RunError, match="epochs 4 and steps 15 contradict each other: an epoch has 6 steps"):
        convscope.train(DATA, asked.changed({"epochs": 4}), runs_directory=tmp_path)


def test_a_run_that_is_killed_after_minutes_were_added_goes_on_by_their_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = _trained(monkeypatch, tmp_path, {}, stop=2)
    copy = Path(shutil.copytree(stopped.run.path, tmp_path / "copy"))
    monkeypatch.setattr(Session, "pacer", lambda session: None)
    costs = Costs(steps=((1.0, 0.3),), epoch_end=0.1, finish=0.2)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: costs)
    monkeypatch.setattr(added_minutes, "most_steps_within", lambda *given, **limits: 20)
    whole = convscope.train(DATA, convscope.Recipe(minutes=1), resume=stopped)
    with monkeypatch.context() as killed:
        killed.setattr(resumed_run, "train_job", _killed)
        with pytest.raises(SystemExit):
            convscope.train(DATA, convscope.Recipe(minutes=1), resume=copy)
    made = (copy / "checkpoint" / "plan.json").read_text()
    for other, refused in (("[]", "it must be an object"), (made.replace("[12, 20]", "[30, 20]"), "no plan of steps")):
        (copy / "checkpoint" / "plan.json").write_text(other)
        with pytest.raises(convscope.RunError, match=rf"plan.json: .*{refused}"):
            convscope.train(DATA, resume=copy)
    (copy / "checkpoint" / "plan.json").write_text(made)
    again = convscope.train(DATA, resume=copy)
    assert not (copy / "checkpoint" / "plan.json").exists()
    assert (again.run.recipe().steps, again.epochs) == (20, 4)
    expected, found = _weights(whole.run), _weights(again.run)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [row.learning_rate for row in again.rows] == [row.learning_rate for row in whole.rows]


def test_steps_of_a_run_whose_images_have_changed_are_refused_for_that(tmp_path: Path) -> None:
    made.fill(tmp_path / "data", {"a": 8, "b": 8})
    cache = tmp_path / "cache"
    recipe = convscope.Recipe(model="lenet5", steps=3, batch_size=4, autotune="rules", threads=1)
    outcome = convscope.train(tmp_path / "data", recipe, runs_directory=tmp_path / "runs", cache_directory=cache)
    # The usual number of epochs is not that of the steps.
    assert "auto: epochs" not in outcome.run.log_path.read_text()
    with pytest.raises(convscope.RunError, match="epochs 9 and steps 7 contradict each other"):
        convscope.train(recipe=convscope.Recipe(epochs=9, steps=7), resume=outcome, cache_directory=cache)
    for number in range(20):
        made.image(number).save(tmp_path / "data" / "a" / f"more-{number}.png")
    with pytest.raises(convscope.RunError, match="have changed since"):
        convscope.train(resume=outcome, cache_directory=cache)


def test_more_epochs_of_a_run_without_patience_left_need_some(tmp_path: Path) -> None:
    # At such a rate the first epoch stays the best.
    early = convscope.train(DATA, QUICK.changed({"patience": 1, "learning_rate": 1e-30}), runs_directory=tmp_path)
    assert (early.ending, early.epochs) == ("early", 2)
    for more in ({"epochs": 9}, {"minutes": 1.0}, {"steps": 40}):
        with pytest.raises(convscope.RunError, match="no better validation since 1 epoch, and would end at once: give"):
            convscope.train(DATA, convscope.Recipe().changed(more), resume=early)
    longer = convscope.train(DATA, convscope.Recipe(epochs=4, patience=0), resume=early)
    assert (longer.ending, longer.epochs) == ("done", 4)


def test_a_length_that_the_plan_had_before_it_was_changed_can_be_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 3 epochs, 18 steps, the pacer has left 12.
    monkeypatch.setattr(Session, "pacer", lambda session: _Scripted({6: 12}))
    done = convscope.train(DATA, QUICK, runs_directory=tmp_path)
    assert (done.ending, done.epochs) == ("done", 2)
    monkeypatch.setattr(Session, "pacer", lambda session: None)
    with monkeypatch.context() as killed:
        killed.setattr(resumed_run, "train_job", _killed)
        with pytest.raises(SystemExit):
            convscope.train(DATA, convscope.Recipe(epochs=3), resume=done)
    # The plan beside the checkpoint says so to a command that names no length.
    longer = convscope.train(DATA, resume=done)
    assert (longer.ending, longer.epochs, longer.run.recipe().epochs) == ("done", 3, 3)
    end = learning_rate_factor("one-cycle", step=17, steps=18, warmup=0.2)
    assert longer.rows[-1].learning_rate == pytest.approx(end * float(longer.run.recipe().learning_rate))


def test_a_command_that_is_killed_before_it_writes_its_recipe_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 3 epochs, 18 steps, the pacer has left 12: the second epoch takes the rest of their schedule.
    monkeypatch.setattr(Session, "pacer", lambda session: _Scripted({6: 12}))

    def stop(row: convscope.EpochRow) -> None:
        raise convscope.StopTraining

    stopped = convscope.train(DATA, QUICK, runs_directory=tmp_path, on_epoch=stop)
    copy = Path(shutil.copytree(stopped.run.path, tmp_path / "copy"))
    monkeypatch.setattr(Session, "pacer", lambda session: None)
    whole = convscope.train(DATA, resume=stopped)
    with monkeypatch.context() as killed:
        killed.setattr(resumed_run, "write_file", _killed)
        with pytest.raises(SystemExit):
            convscope.train(DATA, convscope.Recipe(epochs=4), resume=copy)
    again = convscope.train(DATA, resume=copy)
    assert [row.learning_rate for row in again.rows] == [row.learning_rate for row in whole.rows]
    expected, found = _weights(whole.run), _weights(again.run)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def _killed(*given: object) -> None:
    raise SystemExit


def test_minutes_are_added_to_a_run_that_was_stopped_and_to_one_that_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = _trained(monkeypatch, tmp_path, {}, stop=2)
    monkeypatch.setattr(Session, "pacer", lambda session: None)
    costs = Costs(steps=((1.0, 0.3),), epoch_end=0.1, finish=0.2)
    monkeypatch.setattr(planned_time, "measured_costs", lambda *given, **parts: costs)
    stop_clock(monkeypatch)  # what is left of the minutes is the same on any machine
    # The steps that are left take far less; so more of them are planned, to the schedule's end.
    on = convscope.train(DATA, convscope.Recipe(minutes=0.2), resume=stopped)
    recipe = on.run.recipe()
    assert on.ending == "done" and recipe.minutes == 0 and recipe.steps != AUTO
    end = learning_rate_factor("one-cycle", step=29, steps=30, warmup=0.2)
    assert on.rows[-1].learning_rate == pytest.approx(end * float(recipe.learning_rate), rel=1e-9)
    longer = convscope.train(DATA, convscope.Recipe(minutes=0.2), resume=on)
    assert longer.ending == "done" and longer.epochs > on.epochs
    with pytest.raises(convscope.RunError, match="one more step, the test and the report take"):
        convscope.train(DATA, convscope.Recipe(minutes=0.001), resume=longer)
    with pytest.raises(convscope.RunError, match="minutes 1 and epochs"):
        train_on(longer, {"minutes": 1.0, "epochs": 10_000}, listener=Silent(), cache_directory=None)
