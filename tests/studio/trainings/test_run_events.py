"""Ids of events, a reader that was away, and files of a run that are damaged, replaced or a stranger's."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.report.csv_table import csv_text
from convscope.runs.events import EpochRow, Message, Status, event_line, header, table_row, this_host
from convscope.runs.live_view import LiveView
from convscope.runs.metrics_table import read_metrics
from convscope.runs.run_directory import Run
from convscope.studio.protocol import StudioError
from convscope.studio.trainings import room as room_module
from convscope.studio.trainings.room import TrainRoom
from convscope.studio.trainings.run_events import EventPlace, RunWatcher
from convscope.studio.trainings.run_state import RunState, state_of
from studio_runs import HOSTILE, add, make_run, row

FINITE = st.floats(0, 1e9).map(lambda x: float(f"{x:.6g}"))
ROWS = st.builds(
    EpochRow,
    epoch=st.integers(0, 10**5),
    seconds=FINITE,
    train_loss=FINITE,
    train_accuracy=st.sampled_from([0.0, 0.25, 1.0]),
    val_loss=st.none() | FINITE,
    val_accuracy=st.none() | st.sampled_from([0.0, 0.25, 1.0]),
    learning_rate=FINITE,
    images_per_second=FINITE,
    data_wait=FINITE,
    best=st.booleans(),
)


def watcher(run: Run, after: str = "") -> RunWatcher:
    return RunWatcher(run, lambda: RunState(state="training"), after=after)


@given(st.integers(0, 2**63), st.integers(0, 10**14))
def test_an_id_is_read_as_it_was_written(file: int, offset: int) -> None:
    place = EventPlace(file, offset)
    assert EventPlace.parse(str(place)) == place


@given(st.text(max_size=60))
def test_any_text_is_an_id_or_none(text: str) -> None:
    found = EventPlace.parse(text)
    assert found is None or EventPlace.parse(str(found)) == found


@given(st.lists(ROWS, max_size=5), st.booleans())
def test_metrics_are_read_as_they_were_written(rows: list[EpochRow], several: bool) -> None:
    rows = [EpochRow(**{**asdict(each), "multi_label": several}) for each in rows]
    text = csv_text(header(multi_label=several), [table_row(each) for each in rows])
    last = {each.epoch: each for each in rows}
    assert read_metrics(text) == tuple(last[epoch] for epoch in sorted(last))


@given(st.text(max_size=200))
def test_any_text_is_metrics_of_some_rows(text: str) -> None:
    assert isinstance(read_metrics(text), tuple)
    assert isinstance(read_metrics(csv_text(header(multi_label=False), [[text] * 10])), tuple)


def test_a_reader_that_was_away_gets_what_it_missed_and_nothing_twice(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r")
    add(run, row(1), Message(text="two"))
    looker = watcher(run)
    first = looker.look()
    assert [name for name, _, _ in first] == ["epoch", "message", "process"]
    assert looker.look() == []
    with run.events_path.open("a") as file:
        file.write(event_line(row(2), time=1.0)[:20])  # half of a line
    assert looker.look() == []
    with run.events_path.open("a") as file:
        file.write(event_line(row(2), time=1.0)[20:])
    (kind, value, number), *_ = looker.look()
    assert (kind, value["epoch"]) == ("epoch", 2)
    for place in range(3):
        after = [*(each[2] for each in first[:2]), number][place]
        missed = [name for name, _, _ in watcher(run, after).look() if name != "process"]
        assert len(missed) == 2 - place and "restart" not in missed


def test_ids_of_another_file_or_of_no_line_begin_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r")
    add(run, row(1), row(2))
    end = EventPlace.end_of(run)
    assert end is not None
    for after in (f"{end.file:x}.5", f"{end.file + 1:x}.{end.offset}", f"{end.file:x}.{end.offset + 1}", "x", "1.1\n"):
        found = [name for name, _, _ in watcher(run, after).look()]
        assert found[0] == "restart" and found.count("epoch") == 2, after
    looker = watcher(run, str(end))
    assert [name for name, _, _ in looker.look()] == ["process"]
    run.events_path.write_text(event_line(row(7), time=1.0))  # shorter: another run of this name
    found = looker.look()
    assert [name for name, _, _ in found][:2] == ["restart", "epoch"] and found[1][1]["epoch"] == 7


def test_damaged_lines_are_left_out_and_a_run_that_goes_is_said_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r")
    run.events_path.write_bytes(
        b"\xff\xfe\n{}\n[1]\nnull\n" + b"[" * 5000 + b"\n\r\n" + event_line(row(1), time=1).encode()
    )
    looker = watcher(run)
    assert [name for name, _, _ in looker.look()] == ["epoch", "process"]
    (tmp_path / "r").rename(tmp_path / "gone")
    assert [value["state"] for _, value, _ in looker.look()] == ["gone"]
    assert looker.look() == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_names(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "runs" / name)
    add(run, row(1))
    run.metrics_path.write_text(csv_text(header(multi_label=False), [table_row(row(1))]))
    room = TrainRoom(tmp_path / "runs")
    (listed,) = room.listed()["runs"]
    assert listed["name"] == name and listed["best_validation"] == 0.6
    record = room.record(name)
    assert [each["epoch"] for each in record["rows"]] == [1] and json.dumps(record)
    # What can't be read is said: model.json and recipe.toml are none.
    assert any("model.json" in note for note in record["notes"]) and record["recipe"] is None


def test_names_that_are_no_text_or_lead_elsewhere_are_no_runs(tmp_path: Path) -> None:
    runs, outside = tmp_path / "runs", make_run(tmp_path / "outside")
    make_run(runs / "real")
    (runs / "link").symlink_to(outside.path)
    make_run(Path(os.fsdecode(os.fsencode(runs) + b"/\xff")))
    room = TrainRoom(runs)
    assert [each["name"] for each in room.listed()["runs"]] == ["real"] and room.listed()["left_out"] == ["\\xff"]
    for name in ("link", "../outside", "..", ".", "", "real/..", "/etc", "a\0b", os.fsdecode(b"\xff")):
        for ask in (room.record, room.report, room.view, room.go_on):
            with pytest.raises(StudioError, match="there is no run"):
                ask(name)


def test_files_of_a_run_that_are_links_out_of_it_are_not_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "r")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for path in (run.report, run.log_path, run.metrics_path):
        path.symlink_to(secret)
    room = TrainRoom(tmp_path / "runs")
    with pytest.raises(StudioError, match="is a link that leads out of it"):
        room.report("r")
    assert "secret" not in json.dumps({**room.record("r"), "notes": []})


def test_damaged_files_of_a_run_are_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "r")
    run.live.folder.mkdir()
    for path in (run.recipe_path, run.metrics_path, run.scores_path, run.norms_path, run.live.view_path, run.log_path):
        path.write_bytes(b"\xff\0{" * 9)
    run.status_path.write_bytes(b"{")
    record = TrainRoom(tmp_path / "runs").record("r")
    assert record["state"] == "unknown" and record["scores"] is None and record["rows"] == []
    said = " ".join(record["notes"])
    assert all(name in said for name in ("recipe.toml", "scores.json", "view.bin", "model.json"))
    assert json.dumps(record)


def test_a_process_that_is_gone_says_its_last_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "r", state="training", pid=2**22 + 5, host=this_host())
    run.log("epoch 3 of 9")
    found = TrainRoom(tmp_path / "runs").record("r")
    assert (found["state"], found["reason"]) == ("failed", f"process {2**22 + 5} is gone; its last line: epoch 3 of 9")


def test_the_state_of_a_training_is_what_it_does(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", state="training", host="another machine")
    assert state_of(run).state == "training"
    run.live.ask("pause")
    assert state_of(run).state == "pausing"
    run.live.ask("stop")
    assert state_of(run).state == "stopping" and state_of(run).alive
    run.live.write_view(LiveView(step=1, epoch=1.0, time=1.0, pictures=(), outputs={}, gradients={}))
    names = [name for name, _, _ in watcher(run).look()]
    assert names == ["view", "process"]


def test_a_list_reads_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()

    def counted(run: Run, state: RunState) -> dict[str, Any]:
        read.append(run.path.name)
        return {"name": run.path.name, "alive": state.alive, "state": state.state}

    monkeypatch.setattr(room_module, "summary_of", counted)
    make_run(tmp_path / "runs" / "ended")
    make_run(tmp_path / "runs" / "trains", state="training", host="another machine")
    room = TrainRoom(tmp_path / "runs")
    room.listed()
    room.listed()
    assert sorted(read) == ["ended", "trains", "trains"]
    Run(tmp_path / "runs" / "ended").write_status(Status(state="done", epoch=22, epochs=22))
    room.listed()
    assert sorted(read) == ["ended", "ended", "trains", "trains", "trains"]
