"""Which rates of a network are kept: those of a free machine, and an estimate only until there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from convscope.data.memory.source import list_memory
from convscope.data.open import Probe
from convscope.hardware.run_queue import CoreWait
from convscope.recipe.recipe import Recipe
from convscope.training.autotune import kept_rates
from convscope.training.autotune.kept_rates import (
    NOISE_IMAGES,
    MeasuredRates,
    certain_rates,
    known_rates,
    rates_on_noise,
)
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.rates import Rates


def rates(step: float, *, fixed: float = 0.0) -> Rates:
    """Return rates of which a step of 64 images takes `step` seconds, `fixed` of them whatever the images."""
    each = (step - fixed) / NOISE_IMAGES
    return Rates(steps=((1.0, each),), prepare=0.0, validate=0.0, view=0.0, written=0.0, fixed=fixed)


def seconds(found: Rates | None) -> float | None:
    """Return the seconds of a step of 64 images."""
    return None if found is None else round(found.of_step(NOISE_IMAGES), 9)


@pytest.fixture
def resolved() -> ResolvedRecipe:
    images = np.zeros((40, 16, 16, 3), np.uint8)
    recipe = Recipe(data="images", model="cifarnet-tiny", flip=False)
    return resolve(recipe, Probe(list_memory((images, np.arange(40) % 4))), None)


@pytest.fixture
def measure(resolved: ResolvedRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., MeasuredRates]:
    """Return a function that measures rates of a machine that is made up: their times, and the share of waiting."""

    def take(found: Rates, *, waited: float = 0.0) -> MeasuredRates:
        @contextmanager
        def wait() -> Iterator[CoreWait]:
            yield CoreWait(waited)

        monkeypatch.setattr(kept_rates, "core_wait", wait)
        monkeypatch.setattr(kept_rates, "measured_rates", lambda *given, **more: found)
        return rates_on_noise(resolved, effort=1.0, directory=tmp_path)

    return take


def test_the_fastest_of_a_free_machine_are_kept(
    measure: Callable[..., MeasuredRates], resolved: ResolvedRecipe, tmp_path: Path
) -> None:
    kept = []
    for step in (0.3, 0.2, 0.4):
        assert seconds(measure(rates(step)).alone) == step
        kept.append(seconds(known_rates(resolved, tmp_path)))
    assert kept == [0.3, 0.2, 0.2]


@pytest.mark.parametrize("free", [0.1, 0.5])
def test_an_estimate_beside_other_work_is_replaced_in_either_direction(
    measure: Callable[..., MeasuredRates], resolved: ResolvedRecipe, tmp_path: Path, free: float
) -> None:
    found = measure(rates(0.8), waited=0.75)
    assert seconds(found.alone) == 0.2 and found.delay == 4.0
    assert seconds(known_rates(resolved, tmp_path)) == 0.2 and certain_rates(resolved, tmp_path) is None
    # One beside less work is more exact, and one beside more work is less so.
    measure(rates(0.5), waited=0.5)
    measure(rates(0.4), waited=0.6)
    assert seconds(known_rates(resolved, tmp_path)) == 0.25
    measure(rates(free))
    assert seconds(known_rates(resolved, tmp_path)) == seconds(certain_rates(resolved, tmp_path)) == free


def test_beside_other_work_the_rates_of_the_free_machine_are_taken(
    measure: Callable[..., MeasuredRates], resolved: ResolvedRecipe, tmp_path: Path
) -> None:
    measure(rates(0.2))
    found = measure(rates(0.6), waited=0.5)
    assert seconds(found.alone) == 0.2 and found.delay == pytest.approx(3.0)
    faster = measure(rates(0.1), waited=0.5)
    assert seconds(faster.alone) == 0.2 and faster.delay == 1.0
    assert seconds(certain_rates(resolved, tmp_path)) == 0.2


def test_a_step_is_compared_as_a_whole(
    measure: Callable[..., MeasuredRates], resolved: ResolvedRecipe, tmp_path: Path
) -> None:
    # A slow first step of few images makes the part of each image look small.
    measure(rates(0.2, fixed=0.02))
    measure(rates(0.25, fixed=0.2))
    assert seconds(known_rates(resolved, tmp_path)) == 0.2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 3, "key": {}, "rates": {"waited": 2, "alone": {}}}'])
def test_a_damaged_file_is_measured_anew(
    measure: Callable[..., MeasuredRates], resolved: ResolvedRecipe, tmp_path: Path, content: str
) -> None:
    measure(rates(0.2))
    (path,) = (tmp_path / "rates").iterdir()
    path.write_text(content)
    assert known_rates(resolved, tmp_path) is None
    measure(rates(0.3))
    assert seconds(known_rates(resolved, tmp_path)) == 0.3
