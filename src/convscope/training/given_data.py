"""The data that a training from Python is given: a path goes into the recipe, images in memory are listed here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from convscope.data.listing import is_in_memory
from convscope.data.memory.source import InMemory
from convscope.data.open import Probe, probe_given
from convscope.errors import RunError
from convscope.nets.own_code import is_own
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import SettingValue
from convscope.runs.run_directory import Run

RUNS = "runs"  # where run directories are made, unless it is said


def recipe_on(
    data: str | os.PathLike[str] | InMemory | None, recipe: Recipe | None, classes: Sequence[str] | None
) -> tuple[Recipe, Probe | None]:
    """Return the recipe with its data, and the images where they are in memory.

    Raises:
        DataError: images in memory that can't be used; or settings that they, or a path, do not have.
        RunError: no data.
    """
    recipe = recipe or Recipe()
    if data is None:
        raise RunError("there is nothing to train on: give a path, or images in memory with their labels")
    if isinstance(data, (str, os.PathLike)) and classes is None:
        return recipe.changed({"data": os.fsdecode(data)}), None
    found = probe_given(
        data,
        layout=recipe.layout,
        options=recipe.source_options,
        classes=classes,
        value_range=recipe.value_range,
    )
    return recipe.changed({"data": found.source}), found


def images_again(
    run: Run, data: InMemory | None, classes: Sequence[str] | None, earlier: tuple[str, ...]
) -> Probe | None:
    """Return the images in memory that a run was trained on, given again; None where its recipe says where they are.

    Raises:
        RunError: they are not given, or others are; or data for a run that has a path of its own.
    """
    recipe = run.recipe()
    source = recipe.data
    if data is None and classes is not None:
        raise RunError("classes: they name the labels of images in memory, and data is not given: leave it out")
    if not is_in_memory(source):
        if data is not None:
            raise RunError(f"{run} takes its images from {source}: leave data out when it is resumed")
        return None
    again = f"give them again, as data beside resume={str(run)!r}"
    if data is None:
        raise RunError(f"{run} was trained on images in memory, of which no copy is kept: {again}, from Python")
    if isinstance(data, (str, os.PathLike)):
        raise RunError(f"{run} was trained on images in memory, and not on {data}: {again}")
    found = probe_given(data, classes=classes, earlier=earlier, value_range=recipe.value_range)
    if found.source != source:
        raise RunError(f"these are not the images, labels, groups and classes that {run} was trained on: {again}")
    return found


def require_resumable(name: str | None, runs_directory: str | Path, recipe: Recipe | None = None) -> None:
    """Raise RunError for what a run that is resumed has: a name, a place, and where no setting may change a recipe."""
    if recipe is not None:
        raise RunError("recipe: what is resumed here keeps its settings: leave recipe out, or start anew")
    if name is not None or Path(runs_directory) != Path(RUNS):
        given = "name" if name is not None else "runs_directory"
        raise RunError(f"{given}: a run that is resumed stays where it is, under its own name: leave {given} out")


def changes_of(recipe: Recipe | None, run: Run) -> dict[str, SettingValue]:
    """Return the settings of a recipe that a run is resumed with: those that are neither the default nor the run's.

    The name of own code is one in any case: it says that the code may be run.
    """
    if recipe is None:
        return {}
    default, own = Recipe().to_dict(), run.recipe().to_dict()
    return {
        name: value
        for name, value in recipe.to_dict().items()
        if value not in (default[name], own[name]) or (name == "model" and is_own(str(value)))
    }
