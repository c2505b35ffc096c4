"""The bench of accuracy against minutes: what it measures, what it leaves out, and what it makes of its rows."""

from __future__ import annotations

import importlib
import sys
import time
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from tests.laws.test_benchmarks_page import generate

BENCH = Path(__file__).parents[2] / "bench"
__all__ = ["generate"]  # a fixture


@pytest.fixture(scope="module")
def minutes(generate: ModuleType) -> ModuleType:
    return generate.minutes


def row(method: str, minutes: float, accuracy: float, *, seed: int = 0, seconds: float = 60.0, of: str = "cifar10"):
    return {
        "method": method, "set": of, "minutes": f"{minutes:g}", "seed": str(seed), "seconds": str(seconds),
        "epochs": "2", "accuracy": str(accuracy), "accuracy_views": "", "machine": "2 cores, a CPU", "torch": "2",
        "date": "2000-01-01",
    }  # fmt: skip


def test_ours_has_more_seeds_than_peers_and_short_runs_come_first(minutes: ModuleType) -> None:
    given = Namespace(seeds=2, peer_seeds=1, minutes=[5.0, 1.0], only=["convscope", "timm"])
    points = list(minutes.asked(given, ["cifar10"]))
    assert [(point.method, point.minutes, point.seed) for point in points] == [
        ("convscope", 1, 0), ("timm", 1, 0), ("convscope", 5, 0), ("timm", 5, 0),
        ("convscope", 1, 1), ("convscope", 5, 1),
    ]  # fmt: skip


def test_a_row_that_is_there_is_not_measured_again(minutes: ModuleType) -> None:
    given = Namespace(seeds=1, peer_seeds=1, minutes=[1.0, 2.5], only=["convscope", "timm"])
    there = [row("timm", 1, 0.5), row("convscope", 2.5, 0.5), row("convscope", 1, 0.5, of="grey-crops")]
    left = minutes.missing(minutes.asked(given, ["cifar10"]), there)
    assert [(point.method, point.minutes) for point in left] == [("convscope", 1), ("timm", 2.5)]


def test_machines_are_not_mixed(minutes: ModuleType) -> None:
    rows = [row("timm", 1, 0.5), row("timm", 5, 0.6), {**row("timm", 1, 0.1), "machine": "2 cores, another"}]
    assert minutes.of_one_machine(rows) == rows[:2]
    assert [(line.cells[0], line.cells[3]) for line in minutes.table(rows).rows] == [
        ("2 cores, a CPU", "1"), ("2 cores, a CPU", "5"), ("2 cores, another", "1"),
    ]  # fmt: skip


def test_every_peer_has_a_script_and_says_what_is_small(minutes: ModuleType) -> None:
    for method, (script, recipe) in minutes.METHODS.items():
        if script != method or recipe:
            about = (BENCH / "peers" / f"{script}.py").read_text(encoding="utf-8")
            assert ("`--recipe small`" in about) or recipe == "default"


def test_small_recipes_keep_images_whole_where_a_crop_can_cut_away_what_the_label_names(
    minutes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {}

    def peer(script: str, data: Path, place: Path, options: list[str], **_: object) -> None:
        given[script, options[options.index("--recipe") + 1], data.name] = "--whole" in options

    monkeypatch.setattr(minutes, "peer", peer)
    asked = Namespace(work=tmp_path, peers_python="python")
    for name in minutes.SETS:
        for method in ("fastai", "fastai-small", "timm-small", "ultralytics-small", "autogluon"):
            minutes.measured(minutes.Asked(method, name, 1.0, 0), tmp_path / name, asked)
    whole = {(script, recipe) for (script, recipe, of), kept in given.items() if kept and of == "grey-crops"}
    assert whole == {(name, "small") for name in ("fastai", "timm", "ultralytics")}
    assert not any(kept for (_, _, of), kept in given.items() if of == "cifar10")
    for script, _ in whole:
        assert "`--whole`" in (BENCH / "peers" / f"{script}.py").read_text(encoding="utf-8")


def test_a_method_that_is_not_installed_is_skipped_and_what_fails_leaves_no_row(
    minutes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cifar10" / "train").mkdir(parents=True)
    tried = []

    def measured(point, data: Path, given: Namespace):
        tried.append((point.method, point.minutes))
        if point.method == "fastai":
            raise minutes.NotHereError("fastai does not import here")
        if point.minutes == 1:
            raise minutes.SkippedError("1 minute is too short")
        return minutes.Measured(
            seconds=300.0, epochs=3, images_per_second=9.0, accuracy=0.5, accuracy_views=None, curve=[]
        )

    monkeypatch.setattr(minutes, "measured", measured)
    given = Namespace(
        seeds=1, peer_seeds=1, minutes=[1.0, 5.0], only=["convscope", "fastai"], sets=["cifar10"], images=None,
        folder=tmp_path, work=tmp_path / "work", results=tmp_path / "results",
    )  # fmt: skip
    minutes.measure_all(given)
    assert tried == [("convscope", 1), ("fastai", 1), ("convscope", 5)]
    said = capsys.readouterr().out
    assert "skipped: fastai: fastai does not import here" in said
    assert "skipped: convscope, cifar10, 1 min, seed 0: 1 minute is too short" in said
    tried.clear()
    minutes.measure_all(given)  # what has a row is left out, what failed is tried again
    assert tried == [("convscope", 1), ("fastai", 1)]


def test_tables_have_medians_and_the_time_of_what_ran_over(minutes: ModuleType) -> None:
    ours = [row("convscope", 1, accuracy, seed=seed) for seed, accuracy in enumerate((0.5, 0.9, 0.8))]
    rows = [row("timm", 1, 0.3, seconds=90), row("timm", 5, 0.6, seconds=299), *ours, row("convscope", 5, 0.9)]
    lines = [line.cells for line in minutes.summary(rows).rows]
    assert lines == [
        ("cifar10", "convscope", "80.0 %", "90.0 %"),
        ("cifar10", "timm", "30.0 % (1.5 min)", "60.0 %"),
    ]
    first = minutes.table(rows).rows[0].cells
    assert first == ("2 cores, a CPU", "cifar10", "convscope", "1", "1.00", "2", "3", "80.00 %", "50.00 to 90.00")


def test_the_page_the_readme_and_the_plot_are_of_the_rows(generate: ModuleType, tmp_path: Path) -> None:
    minutes = generate.minutes
    readme = f"A\n{generate.BEGIN}{generate.END}B\n{generate.BEGIN_MINUTES}{generate.END}C\n"
    assert f"{generate.BEGIN_MINUTES}{generate.END}C" in generate.with_figures(readme, tmp_path)
    rows = [row("convscope", m, m / 20, seconds=60 * m) for m in (1, 5, 10)] + [row("timm", 1, 0.2, of="grey-crops")]
    minutes.add_rows(tmp_path / "minutes.csv", rows, key=minutes.KEY)
    for name in minutes.SETS:
        drawing = minutes.plot(minutes.read_rows(tmp_path / "minutes.csv"), name)
        (tmp_path / f"minutes-{name}.svg").write_text(drawing.document(), encoding="utf-8")
    page = generate.page(tmp_path)
    assert "| cifar10 | convscope | 5 | 5.00 | 2 | 1 | 25.00 % |" in page
    assert "benchmarks/minutes-cifar10.svg" in page and "benchmarks/minutes-grey-crops.svg" in page
    written = generate.with_figures(readme, tmp_path)
    assert written.startswith("A\n") and "| grey-crops | timm | 20.0 % |" in written and written.endswith("C\n")
    assert generate.with_figures(written, tmp_path) == written


def test_a_run_that_is_left_ends_with_its_workers(generate: ModuleType, tmp_path: Path) -> None:
    runs = importlib.import_module("kit.training_runs")
    file = tmp_path / "worker"
    worker = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    with (tmp_path / "log").open("w") as log:
        leaving = runs.started([sys.executable, "-c", parent], stdout=log, stderr=log)
        process = leaving.__enter__()
        while not file.exists() or not file.read_text(encoding="utf-8"):
            time.sleep(0.02)
        stop = KeyboardInterrupt()
        assert not leaving.__exit__(type(stop), stop, None)
    assert process.poll() is not None
    # A worker that has not been waited for yet is a zombie, and runs no more.
    status = Path("/proc") / file.read_text(encoding="utf-8") / "stat"
    with suppress(FileNotFoundError):
        while status.read_text(encoding="utf-8").split()[2] != "Z":
            time.sleep(0.02)


def test_a_peer_that_hangs_is_ended(generate: ModuleType, tmp_path: Path) -> None:
    runs = importlib.import_module("kit.training_runs")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nsleep 60\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(runs.SkippedError, match="not done after 0 s"):
        runs.peer("timm", tmp_path, tmp_path, [], python=str(python), limit=0.1)


def test_ultralytics_is_given_what_its_start_leaves_and_validates_outside_its_time(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCH)
    peer = importlib.import_module("peers.ultralytics")
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setenv("BENCH_BEGAN", "990")

    def validate() -> str:
        now[0] += 30
        return "found"

    trainer = Namespace(
        args=Namespace(time=1.0), train_loader=range(8), train_time_start=1000.0, validate=validate,
        metrics={"metrics/accuracy_top1": 0.5},
    )  # fmt: skip
    watching = peer.Watching(peer.Clock(), minutes=1.0)
    watching.starts(trainer)
    assert trainer.args.time == pytest.approx(50 / 3600)
    for _ in range(12):
        watching.steps_on(trainer)
    now[0] += 20
    assert trainer.validate() == "found"
    watching.has_saved(trainer)
    assert trainer.train_time_start == 1030
    assert (watching.saved, watching.epochs, watching.curve) == (30, 1.5, [(30, 0.5)])


def test_a_results_file_is_written_at_once(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = importlib.import_module("kit.results")
    file = tmp_path / "rows.csv"
    results.add_rows(file, [], key=("name",))
    assert not file.exists()
    results.add_rows(file, [{"name": "a", "value": 1}], key=("name",))
    before = file.read_text(encoding="utf-8")

    def stopped(self: object, rows: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(results.csv.DictWriter, "writerows", stopped)
    with pytest.raises(KeyboardInterrupt):
        results.add_rows(file, [{"name": "b", "value": 2}], key=("name",))
    assert file.read_text(encoding="utf-8") == before
