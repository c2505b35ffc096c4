"""Runs beside each other: their curves, the settings in which their recipes differ, their scores by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convscope.recipe.recipe import names

MOST_RUNS = 8


def compared(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is shown of several runs' records, as `record_of` makes them.

    Keys:
        runs: name, state, model, rows, best_epoch, best_validation, and the scores but for the classes.
        settings: name and the value in each run, of those settings that differ; None where a recipe can't be read.
        classes: name, and of each run its images, recall and F1, or None where it has no such class.
        notes: what keeps the runs from being compared.

    >>> rows = [{"epoch": 1, "train_loss": 0.5}]
    >>> run = {"name": "a", "rows": rows, "recipe": {"settings": {"epochs": 1}}, "scores": None, "network": None}
    >>> compared([run, {**run, "name": "b", "recipe": {"settings": {"epochs": 2}}}])["settings"]
    [{'name': 'epochs', 'values': [1, 2]}]
    """
    shown = ("name", "state", "reason", "model", "rows", "best_epoch", "best_validation", "multi_label", "seconds")
    return {
        "runs": [{**{name: record.get(name) for name in shown}, "scores": _whole(record)} for record in records],
        "settings": _differences([record.get("recipe") for record in records]),
        "classes": _classes(records),
        "notes": _notes(records),
    }


def _whole(record: Mapping[str, Any]) -> dict[str, Any] | None:
    scores = record.get("scores")
    return None if scores is None else {name: value for name, value in scores.items() if name != "classes"}


def _differences(recipes: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    found = []
    for name in names():
        values = [None if recipe is None else recipe["settings"].get(name) for recipe in recipes]
        known = [value for value, recipe in zip(values, recipes, strict=True) if recipe is not None]
        if any(value != known[0] or type(value) is not type(known[0]) for value in known):
            found.append({"name": name, "values": values})
    return found


def _classes(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_run = [
        {each["name"]: each for each in (record.get("scores") or {"classes": []})["classes"]} for record in records
    ]
    every = dict.fromkeys(name for classes in by_run for name in classes)
    kept = ("images", "recall", "f1", "average_precision")
    return [
        {
            "name": name,
            "runs": [
                None if (score := classes.get(name)) is None else {key: score[key] for key in kept}
                for classes in by_run
            ],
        }
        for name in every
    ]


def _notes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    splits = {record["name"]: (record["scores"]["split"], record["scores"]["images"]) for record in records
              if record.get("scores")}  # fmt: skip
    if len(set(splits.values())) > 1:
        each = "; ".join(f"{name}: {images:,} {split}" for name, (split, images) in splits.items())
        notes.append(f"the scores are of different images: {each}")
    if without := [record["name"] for record in records if not record.get("scores")]:
        notes.append(f"no scores by class yet: {', '.join(without)}")
    seeds = [_setting(record, "split_seed") for record in records]
    sources = [_setting(record, "data") for record in records]
    if len(set(map(str, sources))) > 1:
        notes.append("the runs are trained on different data")
    elif len(set(map(str, seeds))) > 1:
        notes.append("the splits have different seeds: validation images are not the same")
    return notes


def _setting(record: Mapping[str, Any], name: str) -> Any:
    recipe = record.get("recipe")
    return None if recipe is None else recipe["settings"].get(name)
