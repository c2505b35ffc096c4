"""docs/training.md lists the files of a run directory, the columns of its metrics, and each setting's choices."""

from __future__ import annotations

import re
from pathlib import Path

import convscope
import data_makers as made
from convscope.recipe.recipe import choices
from convscope.runs.events import header

TABLES = ("Choose an optimizer and a schedule", "Choose a loss")
PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_page_lists_the_files_of_a_run(tmp_path: Path) -> None:
    made.folders(tmp_path, "photos/daisy", "photos/rose", images=8)
    recipe = convscope.Recipe(model="alexnet-mini", epochs=1)
    run = convscope.train(tmp_path / "photos", recipe, runs_directory=tmp_path / "runs").run
    written = {path.name for path in run.path.iterdir()}
    of_files = PAGE.split("## Read the run directory")[1].split("\n## ")[0]
    # A network of the catalogue has no code of its own to keep.
    assert written | {"code"} == set(re.findall(r"^\| `([\w.]+)/?` \|", of_files, re.MULTILINE))


def test_the_page_lists_the_columns_of_the_metrics() -> None:
    (of_metrics,) = re.findall(r"^\| `metrics.csv` \|.*", PAGE, re.MULTILINE)
    assert re.findall(r"`([\w/]+)`", of_metrics) == header(multi_label=False)


def test_the_page_lists_optimizers_schedules_and_losses() -> None:
    of_steps, of_losses = (PAGE.split(f"## {title}")[1].split("\n## ")[0] for title in TABLES)
    for section, setting in ((of_steps, "schedule"), (of_losses, "loss")):
        rows = re.findall(r"^\| `([a-z][\w-]*)`", section, re.MULTILINE)
        assert set(rows) == set(choices(setting)) - {"auto"}
    assert all(f"`{optimizer}`" in of_steps for optimizer in choices("optimizer") if optimizer != "auto")
