"""The list of a run's files in its report: those that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from convscope.recipe.recipe import Recipe
from convscope.training.loop.nonfinite import DivergedError
from convscope.training.train import train


def test_a_run_that_diverged_in_its_first_epoch_has_no_weights_to_list(tmp_path: Path) -> None:
    wild = Recipe(model="lenet5", epochs=1, batch_size=64, threads=1, autotune="rules", learning_rate=1e30, flip=False)
    with pytest.raises(DivergedError, match="there are no weights to keep"):
        train("digits", wild, runs_directory=tmp_path, name="wild")
    page = (tmp_path / "wild" / "report.html").read_text()
    listed = page.partition("<h2>Files</h2>")[2]
    assert "recipe.toml" in listed and "of epoch None" not in page
    for name in ("weights.safetensors", "checkpoint/", "metrics.csv"):
        assert name not in listed and not (tmp_path / "wild" / name).exists()
