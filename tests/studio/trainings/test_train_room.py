"""Stories of the Train room through real processes: from a form to a report, a pause, a stop, a death."""

from __future__ import annotations

import errno
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from convscope.runs.run_directory import Run
from convscope.studio.protocol import StudioError
from convscope.studio.trainings import child_process
from convscope.studio.trainings.child_process import why_ended
from convscope.studio.trainings.room import TrainRoom

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")
# Small and quick: nothing is measured before the first step but what a step costs.
QUICK: dict[str, Any] = {"model": "lenet5", "autotune": "rules", "threads": "1"}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[TrainRoom]:
    room = TrainRoom(tmp_path / "runs", cache=tmp_path / "cache")
    yield room
    for launch in room.launches.all():
        if launch.alive:
            launch.process.kill()
        launch.process.wait()
    room.close()


def wait_until(found: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def state(room: TrainRoom, name: str) -> str:
    found: str = room.record(name)["state"]
    return found


def test_two_tabs_that_begin_at_once_have_one_list_of_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tempfile.mkdtemp

    def slow(**how: Any) -> str:
        time.sleep(0.05)
        return made(**how)

    monkeypatch.setattr(tempfile, "mkdtemp", slow)
    room = TrainRoom(tmp_path / "runs")
    with ThreadPoolExecutor(4) as tabs:
        assert len({id(found) for found in tabs.map(lambda _: room.launches, range(4))}) == 1
    room.close()


def test_a_disk_that_refuses_the_temporary_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(StudioError, match="no temporary folder can be made: No space left on device"):
        TrainRoom(tmp_path / "runs").recipe_file("digits", {}, "tab")


def test_a_form_becomes_a_run_that_is_paused_goes_on_and_has_a_report(room: TrainRoom) -> None:
    # More epochs than any machine trains before the test stops it.
    name = room.start("digits", {**QUICK, "epochs": "5000", "batch_size": 16}, "a <b> run")
    assert name == "a <b> run" and room.running == 1
    opening = room.record(name)
    assert opening["state"] == "opening" and opening["waiting"]
    with pytest.raises(StudioError, match="has no run yet"):
        room.ask(name, "pause")
    wait_until(lambda: state(room, name) == "training")
    assert os.getpriority(os.PRIO_PROCESS, room.launches.all()[0].process.pid) == 10
    room.ask(name, "pause")
    wait_until(lambda: state(room, name) == "paused")
    before = room.record(name)
    time.sleep(0.5)
    after = room.record(name)
    assert after["progress"] == before["progress"] and after["rows"] == before["rows"]
    room.go_on(name)
    wait_until(lambda: state(room, name) == "training" and room.record(name)["rows"])
    view = wait_until(lambda: _view(room, name))
    kinds = [picture.kind for picture in view.pictures]
    assert kinds[:2] == ["image", "filters"] and "maps" in kinds and view.gradients
    room.ask(name, "stop")
    wait_until(lambda: state(room, name) == "stopped")
    record = room.record(name)
    texts = [line.partition("  ")[2] for line in record["log"]]
    assert any(text.startswith("paused after ") for text in texts)
    assert any(text.startswith("going on after a pause of ") for text in texts)
    assert b"<html" in room.report(name) and record["has_report"]
    assert record["scores"]["split"] == "val" and len(record["scores"]["classes"]) == 10
    assert {each["kind"] for each in record["saved"]} == {"best", "checkpoint"}
    assert record["recipe"]["settings"]["data"] == "digits" and record["norms"]["layers"]
    assert not Run(room.runs.root / name).live.is_asked("stop")
    with pytest.raises(StudioError, match="is not training: it is stopped"):
        room.ask(name, "pause")


def _view(room: TrainRoom, name: str) -> Any:
    try:
        return room.view(name)
    except StudioError:
        return None


@pytest.mark.long
def test_a_training_that_is_killed_or_refused_says_why(room: TrainRoom, tmp_path: Path) -> None:
    killed = room.start("digits", {**QUICK, "epochs": "1000"}, "killed")
    refused = room.start("digits", {**QUICK, "train_images": 5, "epochs": "1"}, "refused")
    wait_until(lambda: state(room, killed) == "training")
    os.kill(room.launches.of(killed).process.pid, signal.SIGKILL)  # type: ignore[union-attr]
    wait_until(lambda: state(room, killed) == "failed")
    reason = room.record(killed)["reason"]
    assert reason.startswith("it was killed by SIGKILL: ") and "; its last line: " in reason
    wait_until(lambda: state(room, refused) == "failed")
    assert room.record(refused)["reason"].startswith("train_images 5: 10 classes need 20 images")
    listed = room.listed()["runs"]
    assert {row["name"]: row["state"] for row in listed} == {"killed": "failed", "refused": "failed"}
    # After the server was started anew, the run says as much as its files do.
    again = TrainRoom(tmp_path / "runs").record(killed)
    assert again["state"] == "failed" and " is gone; its last line: " in again["reason"]


def test_names_are_those_of_folders_and_taken_once(room: TrainRoom, tmp_path: Path) -> None:
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    for name in ("../up", "a/b", "..", "\n", "x" * 121, "a\udcff"):
        with pytest.raises(StudioError):
            room.start("digits", QUICK, name)
    for chosen, values in (("/etc", {}), ("digits", {"data": "/etc"}), ("digits", {"model": "x.py:f"})):
        with pytest.raises(StudioError):
            room.start(chosen, values, "x")
    assert not room.running and [path.name for path in (tmp_path / "runs").iterdir()] == ["taken"]
    assert room.launches._free_name("taken") == "taken-2"
    assert json.dumps(room.listed())


def test_why_a_process_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "killed_for_memory", lambda: 4)
    assert why_ended(-signal.SIGKILL, killed_before=3) == "memory ran out, and the system ended the process"
    assert why_ended(-signal.SIGKILL, killed_before=4).startswith(
        "it was killed by SIGKILL: by a user, or by the system"
    )
    assert why_ended(-signal.SIGSEGV, killed_before=4) == "it ended by SIGSEGV"
    assert why_ended(-999, killed_before=4) == "it ended by signal 999"
    assert (why_ended(0, killed_before=4), why_ended(1, killed_before=4)) == ("", "it ended with exit code 1")
    monkeypatch.undo()
    assert child_process.killed_for_memory() >= 0
