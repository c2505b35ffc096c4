"""The exercises by name; a chapter's file is imported when one of its exercises is drawn."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import NamedTuple

from convscope.errors import ArgumentError, did_you_mean
from convscope.exercises.draw import ExerciseRule
from convscope.exercises.texts import table

# Where a name is looked for, by how it begins.
_FILES: Mapping[str, str] = {
    "1": "dense", "2": "convolution", "3": "sizes", "4": "volumes", "5": "pooling", "6": "fields", "7": "networks",
    "8": "training", "design": "design", "results": "results", "quiz": "quizzes", "slip": "slips",
}  # fmt: skip


class Listed(NamedTuple):
    """One exercise of the list: its name, the chapter's or group's title, and what it asks for."""

    name: str
    group: str
    title: str


def rules_in(file: str) -> Mapping[str, ExerciseRule]:
    """Return the rules of one chapter's file, by name.

    >>> list(rules_in("dense"))
    ['1a', '1b', '1c']
    """
    rules: Mapping[str, ExerciseRule] = _module(file).RULES
    return rules


def _module(file: str) -> ModuleType:
    return importlib.import_module(f"convscope.exercises.chapters.{file}")


def rule_of(name: str) -> ExerciseRule:
    """Return how an exercise is drawn.

    Raises:
        ArgumentError: there is none of this name; the nearest are suggested.

    >>> rule_of("3a").kind
    'whole'
    """
    file = next((file for start, file in _FILES.items() if name.startswith(start)), None)
    rule = rules_in(file).get(name) if file else None
    if rule is None:
        hint = did_you_mean(name, names()) or " There are 1a to 8c, design, quiz-... and slip-..."
        raise ArgumentError(f"there is no exercise {name!r}.{hint}")
    return rule


@cache
def names() -> tuple[str, ...]:
    """Return the names of all exercises, in the order of the chapters.

    >>> names()[:4]
    ('1a', '1b', '1c', '2a')
    """
    return tuple(name for file in _FILES.values() for name in rules_in(file))


def listing() -> tuple[Listed, ...]:
    """Return all exercises with their titles.

    >>> listing()[0]
    Listed(name='1a', group='Why not fully connected', title='Weights of one fully connected unit')
    """
    chapters = table()["chapters"]
    groups = {**chapters, "design": chapters["6"]}
    found = []
    for start, file in _FILES.items():
        for name in rules_in(file):
            found.append(Listed(name, groups[start], title_of(name)))
    return tuple(found)


def title_of(name: str) -> str:
    """Return the title of an exercise."""
    if name.startswith("slip-"):
        slip: str = _module("slips").title(name)
        return slip
    text: str = table()[name]["title"]
    return text
