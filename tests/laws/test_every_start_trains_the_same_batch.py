"""Every start of a training opens it alike: short of memory, each takes the same batch and the same learning rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.data.open import probe
from convscope.experiments import learning_rate_range
from convscope.experiments.ablation.ablate import ablate, ablate_on
from convscope.experiments.ensemble.train import train_ensemble
from convscope.experiments.learning_rate_range import lr_find
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.training.loop import step
from convscope.training.resolve import memory
from convscope.training.resolve.resolve import resolve
from convscope.training.train import train
from convscope.training.train_run import train_on

RECIPE = Recipe(data="digits", model="lenet5", epochs=1, batch_size=256, threads=1, autotune="rules")
Batch = tuple[int, float]


def of_train(folder: Path) -> Batch:
    return of_recipe(train("digits", RECIPE, runs_directory=folder).run.recipe())


def of_ensemble(folder: Path) -> Batch:
    outcome = train_ensemble("digits", RECIPE, members=2, runs_directory=folder)
    assert len({of_recipe(member.recipe()) for member in outcome.members}) == 1
    return of_recipe(outcome.members[0].recipe())


def of_ablation(folder: Path) -> Batch:
    outcome = ablate("digits", RECIPE, without=["weight-decay"], seeds=1, jobs=1, runs_directory=folder)
    assert outcome.ending == "done" and outcome.run.recipe() == outcome.recipe
    return of_recipe(outcome.recipe)


def of_range_test(folder: Path) -> Batch:
    found = lr_find("digits", RECIPE, steps=20)
    return found.batch_size, found.default


def of_recipe(recipe: Recipe) -> Batch:
    return int(recipe.batch_size), float(recipe.learning_rate)


STARTS: dict[str, Callable[[Path], Batch]] = {
    "train": of_train,
    "ensemble": of_ensemble,
    "ablate": of_ablation,
    "lr-find": of_range_test,
}


def memory_for_half(monkeypatch: pytest.MonkeyPatch, *, trainings: int = 1) -> None:
    resolved = resolve(RECIPE, probe("digits"))
    needed = memory._needed(resolved.architecture, [memory.unchanged], optimizer=resolved.optimizer, device="cpu")
    assert needed is not None
    limit = int(trainings * (needed(128) + needed(256)) / 2 / memory.USABLE)
    monkeypatch.setattr(memory, "available_memory", lambda: limit)


@pytest.fixture(scope="module")
def half() -> Batch:
    """What a training of half the batch takes by itself."""
    whole = resolve(RECIPE, probe("digits"))
    smaller = memory.with_batch(whole, 128)
    return smaller.batch_size, smaller.learning_rate


@pytest.mark.parametrize("start", STARTS)
def test_a_batch_that_will_not_fit_is_halved_by_every_start(
    start: str, half: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_for_half(monkeypatch)
    assert STARTS[start](tmp_path) == half


@pytest.mark.parametrize("start", ["train", "ablate", "lr-find"])
def test_a_batch_that_the_device_refuses_is_halved_by_every_start(
    start: str, half: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = step.differentiate

    def differentiate(state: Any, objective: Any, batch: Any, **settings: Any) -> Any:
        if len(batch.pixels) >= 256:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(state, objective, batch, **settings)

    for module in (step, learning_rate_range):
        monkeypatch.setattr(module, "differentiate", differentiate)
    assert STARTS[start](tmp_path) == half


def test_a_resumed_training_takes_it_too(half: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train("digits", RECIPE, runs_directory=tmp_path).run
    begun = ablate("digits", RECIPE, without=["weight-decay"], seeds=1, jobs=1, runs_directory=tmp_path).run
    (begun.path / "results.csv").unlink()
    (begun.path / "epochs.csv").unlink()
    memory_for_half(monkeypatch)
    train_on(run.path, {"epochs": 2}, listener=Silent(), cache_directory=None)
    assert of_recipe(run.recipe()) == half
    assert of_recipe(ablate_on(begun.path, jobs=1).recipe) == half
