"""Between the steps of a training: a pause that no time counts, a stop, views that cost little and change nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import convscope
from convscope.runs.events import EpochRow, Silent, StepProgress
from convscope.runs.live_files import LiveFiles
from convscope.runs.live_view import LiveView
from convscope.training.interrupt import StopRequest
from convscope.training.live import live_run
from convscope.training.live.live_run import LiveRun
from convscope.training.live.view_taker import ViewTaker
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.pacer import Pacer
from convscope.training.timing.step_plan import StepPlan
from trainings import train_watched

RECIPE = convscope.Recipe(model="lenet5", epochs=3, autotune="rules", threads=1, train_images=300, batch_size=20)
HOURS = 3 * 3600.0


def test_a_pause_leaves_out_time_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "LOOK_EVERY", 0.0)
    plain = convscope.train("digits", RECIPE, runs_directory=tmp_path, name="plain")
    files, machine, paused_for = LiveFiles(tmp_path / "paused"), time.perf_counter, [0.0]

    class PausesOnce(Silent):
        def epoch_ended(self, row: EpochRow) -> None:
            if row.epoch == 1:
                files.ask("pause")

    def clock() -> float:
        return machine() + paused_for[0]

    def sleep(seconds: float) -> None:
        paused_for[0] += HOURS
        files.withdraw("pause")

    monkeypatch.setattr(live_run, "time", SimpleNamespace(sleep=sleep, time=time.time))
    monkeypatch.setitem(LiveRun.__init__.__kwdefaults__, "clock", clock)
    monkeypatch.setattr(time, "perf_counter", clock)
    paused = train_watched("digits", RECIPE, listener=PausesOnce(), runs_directory=tmp_path, name="paused")
    same, other = plain.run.read_weights(), paused.run.read_weights()
    assert all(torch.equal(same[name], other[name]) for name in same)
    assert [row.val_loss for row in plain.rows] == [row.val_loss for row in paused.rows]
    log = paused.run.log_path.read_text()
    assert "paused after 14 steps" in log and "going on after a pause of 3 h " in log
    assert paused.seconds < HOURS / 2
    # An epoch that counts the pause has less than one image in half a minute.
    assert all(row.images_per_second > 1 for row in paused.rows)
    assert not (tmp_path / "paused" / "live" / "progress.json").exists()


def test_a_stop_is_a_stop_by_a_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "LOOK_EVERY", 0.0)

    class Stops(Silent):
        def epoch_ended(self, row: EpochRow) -> None:
            LiveFiles(tmp_path / "stopped").ask("stop")

    outcome = train_watched("digits", RECIPE, listener=Stops(), runs_directory=tmp_path, name="stopped")
    status = outcome.run.status()
    assert outcome.ending == "stopped" and status is not None and (status.state, status.epoch) == ("stopped", 1)
    assert outcome.run.report.is_file() and outcome.run.scores() is not None
    assert not {"most_confused", "worst_mistakes"} & json.loads(outcome.run.scores_path.read_text()).keys()
    assert convscope.train(resume=outcome.run, recipe=convscope.Recipe(epochs=2)).epochs == 2


def test_what_an_earlier_process_was_asked_for_is_forgotten(tmp_path: Path) -> None:
    files = LiveFiles(tmp_path / "run")
    outcome = convscope.train("digits", RECIPE.changed({"epochs": 1}), runs_directory=tmp_path, name="run")
    files.ask("pause")
    assert convscope.train(resume=outcome.run, recipe=convscope.Recipe(epochs=2)).ending == "done"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Taker:
    """Takes a view in `cost` seconds of a clock."""

    def __init__(self, clock: Clock, cost: float) -> None:
        self.clock, self.cost, self.taken = clock, cost, list[float]()

    def take(self, step: int, epoch: float) -> LiveView:
        self.taken.append(self.clock.now)
        self.clock.now += self.cost
        return LiveView(step=step, epoch=epoch, time=0.0, pictures=(), outputs={}, gradients={})


def _live(folder: Path, clock: Clock, taker: Taker) -> LiveRun:
    return LiveRun(
        LiveFiles(folder), StopRequest(), make_view=lambda: taker, notify=lambda line: None,  # type: ignore[arg-type,return-value]
        epoch_steps=10, batch_size=1, clock=clock,
    )  # fmt: skip


def test_views_come_twice_a_second_at_most_and_take_their_share(tmp_path: Path) -> None:
    for cost, step_seconds in ((0.0001, 0.01), (0.05, 0.01), (0.5, 2.0), (0.001, 0.001)):
        folder = tmp_path / f"{cost}-{step_seconds}"
        (folder / "live").mkdir(parents=True)
        clock, files = Clock(), LiveFiles(folder)
        taker = Taker(clock, cost)
        live = _live(folder, clock, taker)
        for step in range(3000):
            if step % 100 == 0:
                files.watch()
            live.between_steps(step)
            clock.now += step_seconds
        whole = clock.now - 100.0
        gaps = [after - before for before, after in zip(taker.taken, taker.taken[1:], strict=False)]
        assert taker.taken, (cost, step_seconds)
        assert min(gaps, default=1.0) >= live_run.WATCHED_EVERY
        assert cost * len(taker.taken) <= 0.02 * whole + cost, (cost, step_seconds)


def test_a_view_that_fails_and_a_disk_that_refuses_do_not_end_a_training(tmp_path: Path) -> None:
    said = list[str]()

    class Fails(Taker):
        def take(self, step: int, epoch: float) -> LiveView:
            raise RuntimeError("the network answers no images in evaluation mode")

    clock = Clock()
    live = LiveRun(
        LiveFiles(tmp_path / "gone"), StopRequest(), make_view=lambda: Fails(clock, 0.0), notify=said.append,  # type: ignore[arg-type,return-value]
        epoch_steps=10, batch_size=1, clock=clock,
    )  # fmt: skip
    shown = live.listener(Silent())
    for step in range(4000):
        live.between_steps(step)
        shown.stepped(
            StepProgress(
                epoch=1, epochs=1, batch=1, batches=2, step=step, steps=200, loss=float("nan"), accuracy=0.0,
                learning_rate=0.0, images_per_second=1.0, seconds_left=1.0,
            )
        )  # fmt: skip
        clock.now += 0.01
    assert said == ["no further live view: RuntimeError: the network answers no images in evaluation mode"]


def test_a_view_leaves_the_network_and_the_generators_as_they_were() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 70, 3), nn.BatchNorm2d(70), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.LazyLinear(2)
    )
    pixels = torch.rand(1, 3, 130, 140)
    network(pixels).sum().backward()
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes, generator = [each.training for each in network.modules()], torch.get_rng_state()
    view = ViewTaker(network, network, pixels, torch.zeros(130, 140, 3, dtype=torch.uint8)).take(5, 0.5)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert [each.training for each in network.modules()] == modes and torch.equal(torch.get_rng_state(), generator)
    shapes = {picture.kind: picture.shape for picture in view.pictures}
    assert shapes["filters"] == (64, 3, 3, 3) and shapes["maps"] == (16, 43, 46, 1) and shapes["image"][:2] == (1, 130)
    assert set(view.gradients) == {"0", "5"} and view.outputs.keys() == view.gradients.keys()
    assert LiveView.decoded(view.encoded()).pictures[0] == view.pictures[0]
    with torch.no_grad():
        network[0].weight.fill_(float("nan"))
    broken = ViewTaker(network, network, pixels, torch.zeros(1, 1, 1, dtype=torch.uint8)).take(6, 0.6)
    assert LiveView.decoded(broken.encoded()).outputs["0"] is None


def test_a_pacer_counts_no_pause() -> None:
    clock = Clock()
    pacer = Pacer(costs=Costs(steps=((1.0, 0.5),), epoch_end=0.0, finish=0.0), sides=Sides(), deadline=112.0,
                  budget=12.0, clock=clock)  # fmt: skip
    plan = StepPlan.of(20, epoch_steps=10)
    for step in range(5):
        clock.now += 0.5
        pacer.step_ended(plan, step)
    clock.now += 1000.0
    pacer.leave_out(1000.0)
    assert pacer.within_epoch(plan, 5) == 20 and pacer.seconds_left(plan, 5) == 7.5


@pytest.mark.parametrize("settings", [{}, {"precision": "bf16", "memory_format": "contiguous", "ema_epochs": 1.0}])
def test_views_at_every_step_change_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str | float]
) -> None:
    recipe = RECIPE.changed({"model": "cifarnet-tiny", "epochs": 2, "train_images": 160, **settings})
    plain = convscope.train("digits", recipe, runs_directory=tmp_path, name="plain")
    taken = list[int]()
    take = ViewTaker.take

    def counted(self: ViewTaker, step: int, epoch: float) -> LiveView:
        taken.append(step)
        return take(self, step, epoch)

    monkeypatch.setattr(ViewTaker, "take", counted)
    monkeypatch.setattr(LiveFiles, "is_watched", property(lambda self: True))
    for name, value in {"LOOK_EVERY": 0.0, "WATCHED_EVERY": 0.0, "SHARE": 1e9}.items():
        monkeypatch.setattr(live_run, name, value)
    viewed = convscope.train("digits", recipe, runs_directory=tmp_path, name="viewed")
    assert len(taken) > 10
    same, other = plain.run.read_weights(), viewed.run.read_weights()
    assert all(torch.equal(same[name], other[name]) for name in same)
