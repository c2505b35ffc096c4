"""status.json and events.jsonl say what a training does and how it ended, without a look at its log."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from convscope.errors import ConvscopeError, RunError
from convscope.hardware.mode import compiler_errors_refused
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.runs.events import EpochRow, Message, Silent, Status, read_status, write_status
from convscope.runs.run_directory import Run
from convscope.training import fit_job
from convscope.training.train import train
from trainings import train_watched

RECIPE = Recipe(model="lenet5", epochs=2, batch_size=256, learning_rate=0.01, autotune="rules", threads=1)


class _Watching(Silent):
    """Reads status.json after each epoch, and presses Ctrl-C after one of them."""

    def __init__(self, run: Path, *, stop_after: int) -> None:
        self.run, self.stop_after, self.seen = Run(run), stop_after, list[Status | None]()

    def epoch_ended(self, row: EpochRow) -> None:
        self.seen.append(self.run.status())
        if row.epoch == self.stop_after:
            signal.raise_signal(signal.SIGINT)


def events(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.events_path.read_text().splitlines()]


def test_a_training_that_is_stopped_and_gone_on_with(tmp_path: Path) -> None:
    listener = _Watching(tmp_path / "run", stop_after=1)
    run = train_watched("digits", RECIPE, name="run", runs_directory=tmp_path, listener=listener).run
    assert [status and status.state for status in listener.seen] == ["training"]
    assert run.status() == Status(state="interrupted", epoch=1, epochs=2)
    from convscope.training.train_run import train_on

    train_on(run.path, {}, listener=Silent(), cache_directory=None)
    assert run.status() == Status(state="done", epoch=2, epochs=2) and not run.has_diverged
    found = events(run)
    states = [event["state"] for event in found if event["event"] == "state"]
    assert states == ["training", "interrupted", "training", "done"]
    assert [event["epoch"] for event in found if event["event"] == "epoch"] == [1, 2]
    assert any(str(event["text"]).startswith("data: digits") for event in found if event["event"] == "message")
    assert [event["time"] for event in found] == sorted(float(str(event["time"])) for event in found)


def test_an_error_of_the_compiler_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})
    error = kind("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1 for more")
    monkeypatch.setattr(fit_job, "fit", Mock(side_effect=error))
    with pytest.raises(RunError, match=r"can't compile the network here \(Invalid.* found\): take compile='no'$"):
        train("digits", RECIPE, name="run", runs_directory=tmp_path)
    status = Run(tmp_path / "run").status()
    assert status is not None and status.state == "failed" and status.reason.startswith("torch can't compile")
    with pytest.raises(kind), compiler_errors_refused():
        raise kind("CUDA out of memory")  # the batch is halved then


def test_a_run_goes_on_without_the_compiler_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train("digits", RECIPE.changed({"epochs": 1}), name="run", runs_directory=tmp_path).run
    run.recipe_path.write_text(to_toml(run.recipe().changed({"compile": "yes"})))
    error = type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})("no compiler")
    monkeypatch.setattr(torch, "compile", lambda *_, **__: Mock(side_effect=error))
    with pytest.raises(RunError, match=r"take compile='no'$"):
        train(recipe=Recipe(epochs=2), resume=run)
    assert train(recipe=Recipe(epochs=2, compile="no"), resume=run).epochs == 2
    assert run.recipe().compile == "no"


def test_a_training_that_diverges_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConvscopeError):
        train("digits", Recipe(**{**RECIPE.to_dict(), "learning_rate": 1e12}), name="run", runs_directory=tmp_path)
    run = Run(tmp_path / "run")
    status = run.status()
    assert status is not None and run.has_diverged and "became" in status.reason
    with pytest.raises(RunError, match="its training diverged in its first epoch"):
        run.read_weights()


def test_a_training_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the loop broke")

    monkeypatch.setattr("convscope.training.fit_job.fit", broken)
    with pytest.raises(RuntimeError, match="the loop broke"):
        train("digits", RECIPE, name="run", runs_directory=tmp_path)
    assert Run(tmp_path / "run").status() == Status(state="failed", epoch=0, epochs=2, reason="the loop broke")


def test_half_a_status_is_none(tmp_path: Path) -> None:
    write_status(tmp_path / "status.json", Status(state="done", epoch=3, epochs=3))
    whole = (tmp_path / "status.json").read_text()
    assert read_status(tmp_path / "status.json") == Status(state="done", epoch=3, epochs=3)
    for text in ("", whole[:20], whole.replace("done", "asleep"), whole.replace("3", "-3", 1)):
        (tmp_path / "status.json").write_text(text)
        assert read_status(tmp_path / "status.json") is None


def test_a_training_that_ends_diverged_is_no_success(tmp_path: Path) -> None:
    recipe = Recipe(**{**RECIPE.to_dict(), "learning_rate": 1000.0, "optimizer": "sgd"})
    outcome = train("digits", recipe, name="run", runs_directory=tmp_path)
    status = outcome.run.status()
    assert outcome.ending == "done" and "diverged" in outcome.remark and outcome.to_dict()["remark"] == outcome.remark
    assert status is not None and status.state == "diverged" and status.reason == outcome.remark


def test_a_torn_event_takes_no_other_with_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.events_path.write_text('{"time": 1}\n{"time": 17956')
    with run.locked():
        run.record(Message(text="resuming"))
    assert run.events_path.read_text().splitlines()[1:2] == ['{"time": 17956']
    assert json.loads(run.events_path.read_text().splitlines()[2])["text"] == "resuming"


def test_norms_of_a_training_that_is_gone_on_with_equal_those_of_an_unbroken_one(tmp_path: Path) -> None:
    from convscope.training.train_run import train_on

    recipe = RECIPE.changed({"batch_size": 64})  # 23 steps an epoch, of which one in 20 is sampled
    whole = train_watched("digits", recipe, name="whole", runs_directory=tmp_path, listener=Silent()).run
    listener = _Watching(tmp_path / "run", stop_after=1)
    run = train_watched("digits", recipe, name="run", runs_directory=tmp_path, listener=listener).run
    # What a process leaves that is killed in the second epoch.
    run.add_norms([replace(run.norms()[0], step=10**6, epoch=1.5)])
    run.norms_path.write_text(run.norms_path.read_text() + '{"step": 12, "epo')
    train_on(run.path, {}, listener=Silent(), cache_directory=None)
    assert run.norms() == whole.norms() and [one.step for one in run.norms()] == [0, 20, 40]
    first = run.norms()[0]
    assert first.step == 0 and set(first.gradients) == set(first.outputs) and len(first.outputs) >= 5
    assert all(norm and norm > 0 for norm in (*first.outputs.values(), *first.gradients.values()))
    assert "Norms by layer" in run.report.read_text() and "live/" in run.report.read_text()
