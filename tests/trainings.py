"""Trainings that a listener of the test watches."""

from __future__ import annotations

from pathlib import Path

from convscope.recipe.recipe import Recipe
from convscope.runs.events import Listener
from convscope.training.outcome import Outcome
from convscope.training.train_run import train_new


def train_watched(
    data: str | Path, recipe: Recipe, *, listener: Listener, runs_directory: Path, name: str | None = None
) -> Outcome:
    """Train as `convscope.train` does, but show it to a listener."""
    return train_new(
        recipe.changed({"data": str(data)}),
        listener=listener,
        name=name,
        runs_directory=runs_directory,
        cache_directory=None,
    )
