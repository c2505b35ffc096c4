"""docs/benchmarks.md holds what was measured, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from program_files import ROOT, program

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return program("docs/generate_benchmarks.py")


def test_the_page_is_what_the_results_give(generate: ModuleType) -> None:
    page = DOCS / "benchmarks.md"
    assert generate.page(DOCS / "benchmarks") == (page.read_text(encoding="utf-8") if page.is_file() else "")


def test_the_readme_shows_what_the_results_give(generate: ModuleType) -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert readme.count(generate.BEGIN) == readme.count(generate.BEGIN_MINUTES) == 1
    assert readme.count(generate.END) == 2
    assert generate.with_figures(readme, DOCS / "benchmarks") == readme
    assert "| convscope | 3 |" in readme


def test_a_run_of_another_length_replaces_no_row_of_its_own_length(generate: ModuleType) -> None:
    assert [generate.train.called("convscope", epochs) for epochs in (None, 1, 5)] == [
        "convscope", "convscope, 1 epoch", "convscope, 5 epochs",
    ]  # fmt: skip


def test_a_trial_of_other_settings_replaces_no_row_of_the_defaults(generate: ModuleType) -> None:
    called = generate.train.called
    assert called("convscope", None, minutes=10, options="--model resnet18") == "convscope --model resnet18"
    assert [called(method, None, minutes=10) for method in ("convscope", "fastai", "airbench")] == [
        "convscope", "fastai, 10 minutes", "airbench",
    ]  # fmt: skip


def test_a_section_has_the_days_of_its_rows_and_what_the_script_says_of_itself(generate: ModuleType) -> None:
    rows = [{"machine": "2 cores", "torch": "2.13", "date": f"2026-11-{day}"} for day in (26, 25, 26)]
    assert generate.measured_on(rows) == "2 cores; torch 2.13; 2026-11-25 to 2026-11-26"
    assert generate.measured_on(rows[:1]) == "2 cores; torch 2.13; 2026-11-26"
    about = generate.described("$ .venv/bin/python bench/peak.py --repeats 1")
    assert about[0].startswith("The share of the convolution peak")
    assert not any("python bench" in part for part in about)
    assert generate.described("$ convscope doctor") == []


def test_a_run_that_is_repeated_replaces_its_rows_and_means_are_of_the_seeds(
    generate: ModuleType, tmp_path: Path
) -> None:
    train = generate.train
    for seed, accuracy in ((0, 0.5), (1, 0.9), (0, 0.7)):
        found = train.Measured(
            seconds=100.0,
            epochs=2,
            images_per_second=1000.0,
            accuracy=accuracy,
            accuracy_views=None,
            curve=[(60.0, 0.4)],
        )
        train.keep(tmp_path, "tutorial", seed, found)
    page = generate.page(tmp_path)
    assert "| tutorial | 0 | 2 |  | 100.0 | 1,000 | 70.00 % |  |" in page
    assert "| tutorial | mean | 2 |  | 100.0 | 1,000 | 80.00 % |  |" in page
    assert "50.00 %" not in page
    curves = train.read_rows(tmp_path / "train-curves.csv")
    assert [(row["seed"], row["seconds"], row["accuracy"]) for row in curves] == [
        ("1", "60", "0.4"), ("1", "100", "0.9"), ("0", "60", "0.4"), ("0", "100", "0.7"),
    ]  # fmt: skip


def test_the_ratio_to_airbench_is_printed_where_both_were_measured(generate: ModuleType) -> None:
    ours = [{"method": "convscope", "seconds": "300", "to_weights": at} for at in ("240", "260")]
    peer = {"method": "airbench", "seconds": "600", "to_weights": "500"}
    to_weights, in_all = generate.train.beside_airbench([*ours, peer])
    assert "to saved weights: 250.0 s to 500.0 s, 0.50" in to_weights
    assert "in all: 300.0 s to 600.0 s, 0.50" in in_all
    # A run from before weights were timed says nothing of them.
    assert [line == in_all for line in generate.train.beside_airbench([*ours, {**peer, "to_weights": ""}])] == [True]
    assert not list(generate.train.beside_airbench(ours))


def test_what_a_command_prints_is_kept_with_the_data_named_by_its_variable(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVSCOPE_DATASETS", "/somewhere/data")
    generate.record("said", [sys.executable, "-c", "print('/somewhere/data/x took 3 s')"], tmp_path)
    page = generate.page(tmp_path)
    assert "## said" in page
    assert "$CONVSCOPE_DATASETS/x took 3 s" in page
    assert "/somewhere" not in page
