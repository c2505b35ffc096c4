"""Training from Python: callbacks, events to go through, Ctrl-C, threads, progress and the log."""

from __future__ import annotations

import io
import json
import logging
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import convscope
from convscope.errors import ConvscopeError, DataError, RunError
from convscope.experiments.ablation.ablate import ablate, ablate_on
from convscope.runs.events import EpochRow, Message, Silent, Status, read_event
from convscope.runs.lock import locked
from convscope.runs.run_directory import Run
from convscope.training.train_run import train_on
from data_makers import mnist_folder
from public_verbs import state_now

RECIPE = convscope.Recipe(model="lenet5", epochs=3, batch_size=32, learning_rate=0.01, autotune="rules", threads=1)


def stop_after(epoch: int) -> Callable[[EpochRow], None]:
    def on_epoch(row: EpochRow) -> None:
        if row.epoch == epoch:
            raise convscope.StopTraining

    return on_epoch


def press_ctrl_c(row: EpochRow) -> None:
    if row.epoch == 1:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 training and 20 test images: each training takes a tenth of a second."""
    folder = tmp_path_factory.mktemp("images")
    mnist_folder(folder, zipped=False)
    return folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, data: Path) -> tuple[Run, list[EpochRow]]:
    rows: list[EpochRow] = []
    outcome = convscope.train(data, RECIPE, runs_directory=tmp_path_factory.mktemp("runs"), on_epoch=rows.append)
    assert (outcome.ending, outcome.interrupted) == ("done", False)
    return outcome.run, rows


def same_weights_once_resumed(run: Run, unbroken: Run) -> bool:
    train_on(run.path, {}, listener=Silent(), cache_directory=None)
    return run.weights.read_bytes() == unbroken.weights.read_bytes()


def test_a_callback_is_given_each_epoch_as_it_is_written(unbroken: tuple[Run, list[EpochRow]]) -> None:
    run, rows = unbroken
    lines = [json.loads(line) for line in run.events_path.read_text().splitlines()]
    written = [{name: value for name, value in line.items() if name != "time"} for line in lines]
    assert [row.to_dict() for row in rows] == [line for line in written if line["event"] == "epoch"]
    assert [event.to_dict() for event in run.events()] == written
    assert [row.epoch for row in rows] == [1, 2, 3]


def test_a_callback_that_stops_leaves_a_run_that_resumes(unbroken: tuple[Run, Any], tmp_path: Path, data: Path) -> None:
    outcome = convscope.train(data, RECIPE, runs_directory=tmp_path, on_epoch=stop_after(2))
    assert (outcome.ending, outcome.interrupted, outcome.exit_code, outcome.epochs) == ("stopped", False, 0, 2)
    assert outcome.run.status() == Status(state="stopped", epoch=2, epochs=3)
    assert outcome.scores is not None and outcome.scores.split == "val"
    assert same_weights_once_resumed(outcome.run, unbroken[0])


def test_a_callback_that_stops_at_the_last_epoch_has_let_the_training_end(tmp_path: Path, data: Path) -> None:
    recipe = RECIPE.changed({"epochs": 1})
    assert convscope.train(data, recipe, runs_directory=tmp_path, on_epoch=stop_after(1)).ending == "done"


def test_what_a_callback_raises_is_raised_again_once_the_run_is_written(
    unbroken: tuple[Run, Any], tmp_path: Path, data: Path
) -> None:
    def fails(row: EpochRow) -> None:
        raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column") as caught:
        convscope.train(data, RECIPE, runs_directory=tmp_path, name="run", on_epoch=fails)
    assert "run is kept as of epoch 1, and can be resumed" in caught.value.__notes__[0]
    run = Run(tmp_path / "run")
    reason = "on_epoch raised KeyError: 'no such column'"
    assert run.status() == Status(state="failed", epoch=1, epochs=3, reason=reason)
    assert "no such column" in run.report.read_text()
    assert same_weights_once_resumed(run, unbroken[0])


async def _later(row: EpochRow) -> None: ...


def _each(row: EpochRow) -> Iterator[None]:
    yield


@pytest.mark.parametrize("returned", [True, np.True_, torch.tensor(False), _later, _each])
def test_a_callback_that_returns_a_decision_learns_how_to_stop(returned: Any, tmp_path: Path, data: Path) -> None:
    with pytest.raises(RunError, match=r"the callback returned .* raise convscope.StopTraining to stop"):
        convscope.train(
            data,
            RECIPE,
            runs_directory=tmp_path,
            on_epoch=lambda row: returned(row) if callable(returned) else returned,
        )


@pytest.mark.parametrize(
    ("callback", "what"),
    [
        (lambda: None, "a function of no arguments"),
        (_later, "an async function"),
        (_each, "a generator function"),
    ],
)
def test_a_callback_that_can_not_be_called_is_refused_in_words(callback: Any, what: str, data: Path) -> None:
    with pytest.raises(ConvscopeError, match=f"on_epoch is {what}: give a function of 1 argument, an EpochRow"):
        convscope.train(data, RECIPE, on_epoch=callback)
    with pytest.raises(ConvscopeError, match=f"on_trial is {what}: give a function of 1 argument, a Trial"):
        convscope.ablate(data, RECIPE, without=["relu"], on_trial=callback)


@pytest.mark.parametrize("default", [None, "cpu", "meta"])
def test_what_a_callback_sets_of_torch_ends_with_it(
    default: str | None, unbroken: tuple[Run, Any], tmp_path: Path, data: Path
) -> None:
    def sets_everything(*_: Any) -> None:
        torch.set_grad_enabled(False)
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(2)
        torch.set_flush_denormal(True)
        torch.use_deterministic_algorithms(True)
        torch.autocast("cpu", torch.bfloat16).__enter__()
        torch.inference_mode().__enter__()
        np.seterr(all="raise")
        warnings.simplefilter("error")

    torch.set_default_device(default)
    try:
        before = state_now()
        ways: tuple[Any, ...] = ({"on_epoch": sets_everything}, {"progress": sets_everything})
        for way in ways:
            run = convscope.train(data, RECIPE, runs_directory=tmp_path, **way).run
            assert run.weights.read_bytes() == unbroken[0].weights.read_bytes()
            changed = [what for what, value in state_now().items() if value != before[what]]
            assert not changed
    finally:
        torch.set_default_device(None)


def test_ctrl_c_ends_a_training_with_an_outcome_that_says_so(
    unbroken: tuple[Run, Any], tmp_path: Path, data: Path
) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.warns(RuntimeWarning, match="interrupted: .* can be resumed; .* `interrupted`") as warned:
        outcome = convscope.train(data, RECIPE, runs_directory=tmp_path, on_epoch=press_ctrl_c)
    assert warned[0].filename == __file__
    assert (outcome.ending, outcome.interrupted, outcome.epochs) == ("interrupted", True, 1)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert outcome.to_dict()["ending"] == "interrupted" and "to go on" in str(outcome)
    assert same_weights_once_resumed(outcome.run, unbroken[0])


def test_a_second_ctrl_c_raises_keyboard_interrupt(tmp_path: Path, data: Path) -> None:
    def twice(row: EpochRow) -> None:
        press_ctrl_c(row)
        press_ctrl_c(row)

    with pytest.raises(KeyboardInterrupt):
        convscope.train(data, RECIPE, runs_directory=tmp_path, name="run", on_epoch=twice)
    status = Run(tmp_path / "run").status()
    assert status is not None and (status.state, status.epoch) == ("interrupted", 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_that_is_not_the_main_one_trains_and_leaves_signals_alone(tmp_path: Path, data: Path) -> None:
    handlers: list[Any] = []
    ended: list[str] = []

    def on_epoch(row: EpochRow) -> None:
        handlers.append(signal.getsignal(signal.SIGINT))
        raise convscope.StopTraining

    def work() -> None:
        ended.append(convscope.train(data, RECIPE, runs_directory=tmp_path, on_epoch=on_epoch).ending)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (ended, handlers) == (["stopped"], [signal.default_int_handler])


def test_the_events_of_a_training_are_those_of_its_run(
    unbroken: tuple[Run, list[EpochRow]], tmp_path: Path, data: Path
) -> None:
    events = convscope.training_events(data, RECIPE, runs_directory=tmp_path)
    with pytest.raises(RunError, match="has not ended"):
        _ = events.outcome
    seen = list(events)
    run = events.outcome.run
    assert seen[-1] == Status(state="done", epoch=3, epochs=3) and list(events) == []
    assert [row.epoch for row in seen if isinstance(row, EpochRow)] == [1, 2, 3]
    kept = [event for event in run.events() if not isinstance(event, Status)]
    of_log = {event.text for event in kept if isinstance(event, Message)}
    assert {event.text for event in seen if isinstance(event, Message)} <= of_log
    assert run.weights.read_bytes() == unbroken[0].weights.read_bytes()


def test_what_the_loop_sets_in_torch_stays_and_changes_no_weight(
    unbroken: tuple[Run, Any], tmp_path: Path, data: Path
) -> None:
    events = convscope.training_events(data, RECIPE, runs_directory=tmp_path)
    next(events)
    torch.set_default_dtype(torch.float64)
    try:
        assert all(torch.get_default_dtype() == torch.float64 for _ in events)
    finally:
        torch.set_default_dtype(torch.float32)
    assert events.outcome.run.weights.read_bytes() == unbroken[0].weights.read_bytes()


def test_leaving_the_loop_stops_the_training_there(unbroken: tuple[Run, Any], tmp_path: Path, data: Path) -> None:
    for event in convscope.training_events(data, RECIPE, runs_directory=tmp_path, name="left"):
        if isinstance(event, EpochRow):
            assert Run(tmp_path / "left").status() == Status(state="training", epoch=1, epochs=3)
            assert convscope.load(tmp_path / "left").classes == tuple("0123456789")
            break
    run = Run(tmp_path / "left")
    assert run.status() == Status(state="stopped", epoch=1, epochs=3)
    assert same_weights_once_resumed(run, unbroken[0])


def test_a_block_of_events_that_fails_stops_the_training(tmp_path: Path, data: Path) -> None:
    def look(events: Iterator[object]) -> None:
        for event in events:
            if isinstance(event, EpochRow):
                raise ZeroDivisionError

    events = convscope.training_events(data, RECIPE, runs_directory=tmp_path)
    with pytest.raises(ZeroDivisionError), events:
        look(events)
    assert (events.outcome.ending, events.outcome.epochs) == ("stopped", 1)
    assert "convscope-training" not in [thread.name for thread in threading.enumerate()]


def test_an_error_of_the_training_is_raised_where_its_events_are_gone_through(tmp_path: Path) -> None:
    events = convscope.training_events(tmp_path / "nothing", RECIPE, runs_directory=tmp_path)
    with pytest.raises(DataError, match="nothing"):
        next(events)
    with pytest.raises(RunError, match="ended with an error"):
        _ = events.outcome


class _PressedOnce:
    """A queue whose first `get` is interrupted."""

    def __init__(self, queue: Any) -> None:
        self._queue, self._pressed = queue, False
        self.put = queue.put

    def get(self) -> Any:
        if not self._pressed:
            self._pressed = True
            raise KeyboardInterrupt
        return self._queue.get()


def test_ctrl_c_while_an_event_is_waited_for_ends_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    events = convscope.training_events(data, RECIPE.changed({"epochs": 999}), runs_directory=tmp_path)
    assert isinstance(next(events), Message)
    monkeypatch.setattr(events._channel, "queue", _PressedOnce(events._channel.queue))
    *_, last = events
    assert isinstance(last, Status) and last.state == "interrupted" and events.outcome.interrupted


def test_a_run_is_followed_while_another_thread_trains_it(tmp_path: Path, data: Path) -> None:
    followed: list[list[str]] = []

    def follow(row: EpochRow) -> None:
        if row.epoch == 1:
            kinds = [type(event).__name__ for event in Run(tmp_path / "run").events()]
            assert kinds.count("EpochRow") == 1
            thread.start()

    def work() -> None:
        followed.append([type(event).__name__ for event in Run(tmp_path / "run").events(follow=True)])

    thread = threading.Thread(target=work)
    convscope.train(data, RECIPE, runs_directory=tmp_path, name="run", on_epoch=follow)
    thread.join()
    assert followed[0].count("EpochRow") == 3 and followed[0][-1] == "Status"


def test_lines_that_are_no_events_are_left_out() -> None:
    for line in ("", "{", '{"event": "epoch"}', '{"event": ["epoch"]}', '{"event": "message", "text": 3}', "[]"):
        assert read_event(line) is None


def test_a_process_that_is_gone_is_not_training(tmp_path: Path, unbroken: tuple[Run, Any], data: Path) -> None:
    outcome = convscope.train(data, RECIPE, runs_directory=tmp_path, on_epoch=stop_after(1))
    run = outcome.run
    written = json.loads(run.status_path.read_text())
    assert written["pid"] > 0 and written["started"] > 1e9 and written["host"]
    # As kill -9 leaves it.
    run.status_path.write_text(json.dumps({**written, "state": "training", "pid": 4194304}))
    assert run.status() == Status(state="interrupted", epoch=1, epochs=3, reason="process 4194304 is gone")
    with locked(run.path):
        assert run.status() == Status(state="training", epoch=1, epochs=3)
    train_on(run.path, {}, listener=Silent(), cache_directory=None)
    states = [event.state for event in run.events() if isinstance(event, Status)]
    assert states == ["training", "stopped", "training", "done"]
    # Of another machine nothing is known.
    run.status_path.write_text(json.dumps({**written, "state": "training", "host": "elsewhere"}))
    assert run.status() == Status(state="training", epoch=1, epochs=3)


def test_a_call_prints_nothing_and_logs_everything(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, data: Path
) -> None:
    with caplog.at_level(logging.INFO, logger="convscope"):
        convscope.train(data, RECIPE.changed({"batch_size": 10**5}), runs_directory=tmp_path)
    assert capfd.readouterr() == ("", "")
    levels = {record.getMessage(): record.levelname for record in caplog.records if record.name == "convscope"}
    assert levels[f"data: {data}: 10 classes, images: 50 train, 10 val, 20 test"] == "INFO"
    assert levels["batch size 50, not 100,000: there are no more images to train on"] == "WARNING"
    assert sum(message.startswith("epoch ") for message in levels) == 3


def test_progress_is_shown_on_stderr_or_passed_to_a_function(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], unbroken: tuple[Run, Any], data: Path
) -> None:
    seen: list[tuple[int, int, str]] = []
    recipe = RECIPE.changed({"epochs": 1})
    convscope.train(data, recipe, runs_directory=tmp_path, progress=lambda *given: seen.append(given))
    convscope.lr_find(data, recipe, steps=20, progress=lambda *given: seen.append(given))
    run = unbroken[0].path
    convscope.evaluate(run, progress=lambda *given: seen.append(given))
    image = [[0] * 8] * 8
    convscope.predict(run, [_grey(image)], progress=lambda *given: seen.append(given))
    assert {what for _, _, what in seen} >= {"training", "measuring on test", "trying rates", "predicting"}
    assert all(0 <= done <= total for done, total, _ in seen)
    convscope.train(data, recipe, runs_directory=tmp_path, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "train loss" in err and "1/1" in err


def _grey(rows: list[list[int]]) -> Any:
    import numpy as np

    return np.array(rows, np.uint8)


def test_a_notebook_shows_a_bar_in_one_output_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], data: Path
) -> None:
    shown: list[dict[str, str]] = []
    handle = SimpleNamespace(update=lambda content, raw: shown.append(content))

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert not shown, "a second cell"
        shown.append(content)
        return handle

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    convscope.train(data, RECIPE, runs_directory=tmp_path, progress=True)
    assert any("<progress" in content["text/html"] for content in shown)
    assert "<progress" not in shown[-1]["text/html"] and "3/3" in shown[-1]["text/html"]
    assert capfd.readouterr() == ("", "")


def test_an_ensemble_is_stopped_by_a_callback_and_its_status_says_so(tmp_path: Path, data: Path) -> None:
    recipe = RECIPE.changed({"epochs": 1})
    left = [2]

    def on_epoch(row: EpochRow) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyError("later")

    with pytest.raises(KeyError):
        convscope.train_ensemble(data, recipe, members=2, runs_directory=tmp_path, name="e", on_epoch=on_epoch)
    run = Run(tmp_path / "e")
    assert run.status() == Status(state="failed", epoch=1, epochs=2, reason="'later'")
    states = [event.state for event in run.events() if isinstance(event, Status)]
    assert states == ["training", "failed"]


def test_an_ablation_is_stopped_by_a_callback_and_its_status_says_so(tmp_path: Path, data: Path) -> None:
    recipe = RECIPE.changed({"epochs": 1, "model": "alexnet-mini", "image_size": "8", "batch_size": 512})
    seen: list[str] = []

    def on_trial(trial: Any) -> None:
        seen.append(trial.variant)
        raise convscope.StopTraining

    given: dict[str, Any] = {"without": ["dropout"], "seeds": 1, "jobs": 1}
    found = ablate(data, recipe, **given, runs_directory=tmp_path, on_trial=on_trial)
    assert (found.ending, found.interrupted, seen) == ("stopped", False, ["baseline"])
    assert found.run.status() == Status(state="stopped", epoch=1, epochs=2)
    assert ablate_on(found.run.path, jobs=1).ending == "done"
    assert found.run.status() == Status(state="done", epoch=2, epochs=2)


class _OnlyWrites:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def _closed() -> Any:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [_OnlyWrites, _closed, lambda: None, object])
def test_progress_needs_no_more_of_stderr_than_there_is(
    stream: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    put = stream()
    monkeypatch.setattr(sys, "stderr", put)
    run = convscope.train(data, RECIPE, runs_directory=tmp_path, progress=True).run
    assert len(convscope.predict(run, ["digits/1"], progress=True)) == 1
    assert "train loss" in getattr(put, "text", "train loss")


def test_a_run_that_is_deleted_while_it_trains_is_said_to_be_gone(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ConvscopeError, match=r"the run's folder is gone, and nothing of it is kept$"):
        convscope.train(
            data, RECIPE, runs_directory=tmp_path, name="run", on_epoch=lambda row: shutil.rmtree(tmp_path / "run")
        )


def test_events_are_shown_as_all_results_are(tmp_path: Path, data: Path) -> None:
    with convscope.training_events(data, RECIPE, runs_directory=tmp_path) as events:
        assert repr(events) == "<TrainingEvents not begun>"
        next(events)
        assert repr(events) == "<TrainingEvents training>"
    assert repr(events) == "<TrainingEvents ended>"


class _SetsTheDevice(Dataset[Any]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, row: int) -> tuple[Any, int]:
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        return np.full((16, 16), 6 * row, np.uint8), row % 2


@pytest.mark.parametrize("stream", ["no", "yes"])
def test_what_a_dataset_sets_of_torch_ends_with_each_item(stream: str, tmp_path: Path) -> None:
    before = state_now()
    recipe = RECIPE.changed({"epochs": 1, "stream": stream})
    assert convscope.train(_SetsTheDevice(), recipe, runs_directory=tmp_path).ending == "done"
    assert state_now() == before
