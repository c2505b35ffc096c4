"""The table of docs/training.md lists the files of a run directory."""

from __future__ import annotations

import re
from pathlib import Path

import convscope
import data_makers as made

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_page_lists_the_files_of_a_run(tmp_path: Path) -> None:
    made.folders(tmp_path, "photos/daisy", "photos/rose", images=8)
    recipe = convscope.Recipe(model="alexnet-mini", epochs=1)
    run = convscope.train(tmp_path / "photos", recipe, runs_directory=tmp_path / "runs").run
    written = {path.name for path in run.path.iterdir()}
    of_files = PAGE.split("## Read the run directory")[1].split("\n## ")[0]
    # A network of the catalogue has no code of its own to keep.
    assert written | {"code"} == set(re.findall(r"^\| `([\w.]+)/?` \|", of_files, re.MULTILINE))
