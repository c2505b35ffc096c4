"""Members of an ensemble that were damaged: what can be written again is, what can't is set aside and trained again.

A member's recipe and model.json follow from the ensemble's and from the member's seed; its weights are in its
checkpoint as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

import torch

from convscope.errors import RunError
from convscope.files.regular import read_bytes, refused_as
from convscope.nets.weights.fit import Weights
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.report.printable import from_here
from convscope.runs.atomic_files import write_file
from convscope.runs.checkpoint import load_checkpoint
from convscope.runs.model_spec import Members, ModelSpec
from convscope.runs.run_directory import Run
from convscope.runs.tensor_files import load_weights
from convscope.training.finish import is_finished

MemberState = Literal["complete", "begun", "gone"]
# A member that can't be used keeps its files under its name and this.
SET_ASIDE = ".damaged"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The members that can be used, by seed, and a line for everything that was mended or set aside."""

    names: dict[int, str]
    notes: tuple[str, ...]


def in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    """Return the names of members by their seeds, the lowest first."""
    return tuple(name for _, name in sorted(names.items()))


def with_members(spec: ModelSpec, names: Mapping[int, str], planned: int) -> ModelSpec:
    """Return the ensemble's card with these members, by seed."""
    return replace(spec.of_training, members=Members(names=in_order(names), planned=planned))


def usable_members(run: Run, recipe: Recipe, spec: ModelSpec, seeds: Sequence[int]) -> Trained:
    """Check every member that an ensemble lists, and mend what follows from the rest of its files.

    A member whose weights are lost is left out, its folder renamed, so that it is trained again.

    Raises:
        RunError: a member that is not one of the seeds, that has another network, classes or preprocessing, or that
            another process trains.
    """
    assert spec.members is not None
    names: dict[int, str] = {}
    notes: list[str] = []
    for name in spec.members.names:
        seed = _seed_of(run, name, seeds)
        if seed in names:
            raise RunError(
                f"{from_here(run.spec_path)} lists two members of seed {seed}, {names[seed]} and {name}: remove one"
            )
        member = run.member(name)
        if not member.path.is_dir():
            notes.append(f"member {name} is missing: it is trained again")
            continue
        with member.locked():
            notes += mend_settings(member, run, recipe.changed({"seed": seed}), spec)
            lost, note = _mend_weights(member)
        notes += filter(None, [note])
        if lost:
            notes.append(f"{lost}: {_set_aside(member.path)}")
        else:
            names[seed] = name
    return Trained(names=names, notes=tuple(notes))


def look_at_begun(member: Run, run: Run, recipe: Recipe, spec: ModelSpec) -> tuple[MemberState, list[str]]:
    """Look at a member's folder that the ensemble does not list yet, and mend its settings.

    Returns whether it is "complete", "begun" (its training goes on), or "gone": nothing in it can be gone on with, and
    it was renamed; and a line for everything that was mended.
    """
    notes = mend_settings(member, run, recipe, spec)
    try:
        saved = load_checkpoint(member.checkpoints)
        lost = "" if saved or not member.weights.exists() else f"{member} has weights but no checkpoint"
    except RunError as error:
        saved, lost = None, str(error)
    if lost:
        return "gone", [*notes, f"{lost}: {_set_aside(member.path)}"]
    if saved is None or saved.values["epoch"] < int(member.recipe().epochs):
        return "begun", notes
    return "complete" if is_finished(member, saved.values["best"]) else "begun", notes


def mend_settings(member: Run, run: Run, recipe: Recipe, spec: ModelSpec) -> list[str]:
    """Write a member's model.json, recipe.toml and split.csv again where they are missing or can't be read.

    Returns a line for each of the first two.

    Raises:
        RunError: the member has another network, classes or preprocessing than the ensemble.
    """
    alone = spec.of_training
    notes = []
    if trouble := _trouble(member.spec_path, member.spec):
        member.write_spec(alone)
        notes.append(f"{trouble}: it is written again")
    elif member.spec().of_training != alone:
        raise RunError(
            f"{member} does not belong to the ensemble {run}: its network, classes or preprocessing differ; move it "
            "elsewhere, and it is trained again"
        )
    if trouble := _trouble(member.recipe_path, member.recipe):
        write_file(member.recipe_path, to_toml(recipe))
        notes.append(f"{trouble}: it is written again")
    if run.split_path.is_file() and not member.split_path.is_file():
        with refused_as(RunError, run.split_path):
            write_file(member.split_path, read_bytes(run.split_path))
    return notes


def _mend_weights(member: Run) -> tuple[str, str]:
    """Return why the weights are lost, or "", and a line if they were restored from the checkpoint."""
    trouble = _trouble(member.weights, lambda: _require_fit(member, member.read_weights()))
    if not trouble:
        return "", ""
    try:
        saved = load_checkpoint(member.checkpoints)
        if saved is None:
            return f"{trouble}, and there is no checkpoint", ""
        _require_fit(member, saved.best)
    except RunError as error:
        return f"{trouble}, and {error}", ""
    member.write_weights(saved.best, saved.values["best"])
    return "", f"{trouble}: the weights are taken from its checkpoint"


def _require_fit(member: Run, weights: Weights) -> None:
    with torch.device("meta"):
        network = member.spec().build()
    empty = {name: tensor.to("meta") for name, tensor in weights.items()}
    load_weights(network, empty, where=from_here(member.weights))


def _trouble(path: Path, read: Callable[[], object]) -> str:
    """Return why a file of a run can't be read, or "" if it can."""
    if not path.is_file():
        return f"{path} is missing"
    try:
        read()
    except RunError as error:
        return str(error)
    return ""


def _seed_of(run: Run, name: str, seeds: Sequence[int]) -> int:
    """Return the seed of a member by its folder's name: seed-3, or seed-3-2 where seed-3 was taken."""
    found = re.fullmatch(r"seed-(\d{1,19})(-\d+)?", name)
    if found is None or int(found[1]) not in seeds:
        raise RunError(
            f"{from_here(run.spec_path)} lists a member {name!r}, and the members of this ensemble are "
            f"seed-{seeds[0]} to seed-{seeds[-1]}: remove it from the list"
        )
    return int(found[1])


def _set_aside(folder: Path) -> str:
    """Rename a folder to the next free name, and return what there is to say of it."""
    for number in count(1):
        aside = folder.with_name(f"{folder.name}{SET_ASIDE}{'' if number == 1 else f'-{number}'}")
        if not aside.exists():
            folder.rename(aside)
            return f"the member is trained again, and what is left of it is kept in {aside.name}"
    raise AssertionError("unreachable: count() does not end")
