"""A batch too large for the memory is halved with a word, and never ends a run."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import data_makers as made
from convscope.data.open import probe
from convscope.data.streamed import held_bytes
from convscope.errors import RunError
from convscope.hardware.memory_errors import is_out_of_memory
from convscope.recipe.recipe import Recipe
from convscope.runs.events import EpochRow, Silent
from convscope.training.loop import step
from convscope.training.resolve import memory as fitting
from convscope.training.resolve.memory import LEAST_BATCH, fit_to_memory, halved_to_fit, with_batch
from convscope.training.resolve.resolve import resolve
from convscope.training.train import train
from convscope.training.train_run import train_on
from trainings import train_watched

RECIPE = Recipe(data="digits", model="lenet5", preset="classic", epochs=2, batch_size=256, threads=1, autotune="rules")


@given(st.integers(1, 5000), st.integers(0, 10**6), st.integers(1, 1000), st.integers(0, 10**7))
def test_the_largest_half_that_fits_is_taken(batch: int, fixed: int, each: int, limit: int) -> None:
    def needed(images: int) -> int:
        return fixed + each * images

    taken = halved_to_fit(batch, needed, limit)
    halves = [batch >> times for times in range(batch.bit_length()) if batch >> times >= 1]
    if taken:
        assert needed(taken) <= limit
        assert taken in halves
        assert all(needed(larger) > limit for larger in halves if larger > taken)
    else:
        assert all(needed(half) > limit for half in halves if half >= LEAST_BATCH)


def test_the_learning_rate_follows_the_rules_own() -> None:
    found = probe("digits")
    whole = resolve(RECIPE, found)
    half = with_batch(whole, 128)
    assert half.learning_rate == pytest.approx(
        resolve(RECIPE.changed({"batch_size": 128}), found).learning_rate, rel=0.05
    )
    given_one = resolve(RECIPE.changed({"learning_rate": 0.2}), found)
    assert with_batch(given_one, 128).learning_rate / 0.2 == pytest.approx(
        half.learning_rate / whole.learning_rate, rel=0.01
    )
    assert half.mode == whole.mode
    assert half.recipe.batch_size == half.batch_size == 128


def test_a_batch_that_will_not_fit_is_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probe("digits")
    resolved = resolve(RECIPE, found)
    needed = fitting._needed(resolved.architecture, [unchanged], optimizer=resolved.optimizer, device="cpu")
    assert needed is not None
    monkeypatch.setattr(fitting, "available_memory", lambda: int((needed(64) + needed(128)) / 2 / fitting.USABLE))
    taken, notices = fit_to_memory(resolved, found)
    assert taken.batch_size == 64
    assert "a step of 256 images needs about" in notices[0].text and "batch size 64, learning rate" in notices[0].text
    monkeypatch.setattr(fitting, "available_memory", lambda: needed(1))
    with pytest.raises(RunError, match="halving does not help"):
        fit_to_memory(resolved, found)
    for plenty in (2**50, None):
        monkeypatch.setattr(fitting, "available_memory", lambda plenty=plenty: plenty)
        assert fit_to_memory(resolved, found) == (resolved, ())


def test_trainings_at_once_share_the_memory_and_the_hungriest_network_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probe("digits")
    resolved = resolve(RECIPE, found)

    def wider(network: nn.Module) -> None:
        network.output = nn.Sequential(nn.Linear(84, 9000), nn.ReLU(), nn.Linear(9000, 10))

    alone, more = fitting.step_bytes(resolved), fitting.step_bytes(resolved, surgeries=[unchanged, wider])
    assert alone is not None and more is not None and more > 1.5 * alone
    monkeypatch.setattr(fitting, "MOST_PER_INPUT_BYTE", 10**9)
    monkeypatch.setattr(fitting, "available_memory", lambda: int(1.1 * alone / fitting.USABLE))
    assert fit_to_memory(resolved, found)[0] is resolved
    halved, notices = fit_to_memory(resolved, found, at_once=2)
    assert halved.batch_size <= 128 and "in 2 trainings at once" in notices[0].text
    assert fit_to_memory(resolved, found, surgeries=[unchanged, wider])[0].batch_size < 256


def test_what_a_stream_holds_is_not_there_for_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.fill(tmp_path, {"cat": 8, "dog": 8})
    found = probe(str(tmp_path))
    recipe = RECIPE.changed({"data": str(tmp_path), "batch_size": 8})
    kept, streamed = (resolve(recipe.changed({"stream": stream}), found) for stream in ("no", "yes"))
    needed, held = fitting.step_bytes(kept), held_bytes(found.listing, kept.decoding, 8)
    assert needed is not None and held == 16 * prod(kept.decoding.image_shape)
    monkeypatch.setattr(fitting, "MOST_PER_INPUT_BYTE", 10**9)
    monkeypatch.setattr(fitting, "available_memory", lambda: int((needed + held / 2) / fitting.USABLE))
    assert fit_to_memory(kept, found) == (kept, ())
    assert fit_to_memory(streamed, found)[0].batch_size == 4


def unchanged(network: nn.Module) -> None:
    """The baseline."""


class _Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.rows: list[int] = []

    def notify(self, line: str) -> None:
        self.lines.append(line)

    def epoch_ended(self, row: EpochRow) -> None:
        self.rows.append(row.epoch)


def _full_from(batch: int, monkeypatch: pytest.MonkeyPatch, *, after: int, message: str) -> None:
    """Let steps of `batch` images find no memory, once `after` of them have been taken."""
    real, steps = step.differentiate, 0

    def differentiate(*given: Any, **settings: Any) -> Any:
        nonlocal steps
        steps += 1
        if given[2].images >= batch and steps > after:
            raise RuntimeError(message)
        return real(*given, **settings)

    monkeypatch.setattr(step, "differentiate", differentiate)


@pytest.mark.parametrize("after", [0, 8])
def test_a_run_that_finds_no_memory_goes_on_with_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """In its first step, and in its second epoch (an epoch has six steps): then it goes on from the checkpoint."""
    message = "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    _full_from(256, monkeypatch, after=after, message=message)
    heard = _Lines()
    outcome = train_watched("digits", RECIPE, runs_directory=tmp_path, listener=heard)
    assert (outcome.ending, outcome.epochs, outcome.exit_code) == ("done", 2, 0)
    (line,) = [line for line in heard.lines if "does not hold a step of 256 images" in line]
    assert "batch size 128, learning rate" in line
    assert heard.rows == [1, 2]
    assert outcome.run.recipe().batch_size == 128
    assert len(outcome.run.metrics_path.read_text().splitlines()) == 3


def test_a_run_that_goes_on_where_less_is_free_takes_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train("digits", RECIPE.changed({"epochs": 1}), runs_directory=tmp_path)
    needed = fitting.step_bytes(resolve(first.run.recipe(), probe("digits")))
    assert needed is not None
    monkeypatch.setattr(fitting, "available_memory", lambda: int(0.9 * needed / fitting.USABLE))
    heard = _Lines()
    outcome = train_on(first.run.path, {"epochs": 2}, listener=heard, cache_directory=None)
    assert outcome.ending == "done" and outcome.run.recipe().batch_size == 128
    assert any(line.startswith("memory: a step of 256 images needs") for line in heard.lines)


def test_where_nothing_fits_it_ends_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _full_from(1, monkeypatch, after=0, message="CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(RunError, match="does not hold a step of 2 images: take smaller images"):
        train("digits", RECIPE.changed({"batch_size": 8}), runs_directory=tmp_path)


def test_other_errors_are_not_mistaken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("out of memory"))
    _full_from(1, monkeypatch, after=0, message="mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        train("digits", RECIPE, runs_directory=tmp_path)
