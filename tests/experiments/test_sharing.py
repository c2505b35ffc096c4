"""How an ablation's trainings share cores and memory, and what becomes of a batch that the memory does not hold."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations import RECIPE, results
from convscope.data.open import probe
from convscope.errors import RunError
from convscope.experiments.ablation import plan as plans
from convscope.experiments.ablation import trial as one_trial
from convscope.experiments.ablation.ablate import ablate, ablate_on, begin_ablation
from convscope.experiments.ablation.plan import read_plan
from convscope.hardware.machine import this_machine
from convscope.training.resolve import memory as fitting
from convscope.training.resolve.resolve import resolve
from trainings import Lines


@pytest.mark.parametrize(
    ("jobs", "threads", "runs", "step_bytes", "wanted"),
    [
        ("auto", "auto", 15, None, (8, 1)),
        ("auto", "auto", 3, None, (3, 2)),
        ("auto", 2, 15, None, (4, 2)),
        ("auto", "auto", 15, 3 * 10**9, (1, "auto")),  # two such steps would take more than half of the memory
        (4, "auto", 15, 10**12, (4, 2)),
        (1, 3, 15, None, (1, 3)),
    ],
)
def test_cores_and_memory_are_shared_out(
    jobs: Any, threads: Any, runs: int, step_bytes: int | None, wanted: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "this_machine", lambda: replace(this_machine(), cores=8))
    monkeypatch.setattr(plans, "available_memory", lambda: 10**10)
    assert plans.share_out(jobs, threads, runs=runs, device="cpu", step_bytes=step_bytes) == wanted
    assert plans.share_out("auto", threads, runs=runs, device="cuda", step_bytes=None) == (1, threads)


def memory_for(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so large a share of what the usual recipe's step needs be all that can be taken."""
    found = probe("digits")
    needed = fitting.step_bytes(resolve(RECIPE.changed({"data": "digits"}), found))
    assert needed is not None
    for module in (fitting, plans):
        monkeypatch.setattr(module, "available_memory", lambda: int(share * needed / fitting.USABLE))


def test_a_batch_too_large_is_halved_for_all_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Lines()
    with monkeypatch.context() as patch:
        memory_for(0.97, patch)
        smaller = begin_ablation(
            RECIPE.changed({"data": "digits"}),
            without=["dropout"],
            seeds=1,
            jobs=1,
            runs_directory=tmp_path,
            listener=heard,
        )
    assert any(line.startswith("memory: a step of 32 images needs") for line in heard.lines)
    batch = smaller.recipe.batch_size
    assert batch < 32 and smaller.run.recipe().batch_size == batch
    asked = RECIPE.changed({"batch_size": batch, "learning_rate": smaller.recipe.learning_rate})
    same = ablate("digits", asked, without=["dropout"], seeds=1, jobs=1, runs_directory=tmp_path)
    assert results(same) == results(smaller)


def test_what_is_complete_keeps_the_batch_when_the_memory_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ablate("digits", RECIPE, without=["dropout"], seeds=1, jobs=1, runs_directory=tmp_path)
    plan = read_plan(done.run)
    resolved = resolve(done.recipe, probe("digits"))
    memory_for(2.5, monkeypatch)
    jobs, notices = plans.jobs_that_fit(4, plan, resolved)
    assert jobs == 2 and "2 trainings at once, not 4" in notices[0].text
    assert plans.jobs_that_fit(2, plan, resolved) == (2, ())
    memory_for(0.9, monkeypatch)
    with pytest.raises(RunError, match=r"not hold a step of 32 images: the complete trainings had this batch"):
        ablate_on(done.run.path, seeds=2, jobs=1)


@pytest.mark.parametrize("after", [0, 1])
def test_a_step_that_finds_no_memory_halves_all_or_ends_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    real, trained = one_trial.fit, 0
    refused: list[weakref.ref[Any]] = []

    def full(state: Any, settings: Any, *given: Any, **options: Any) -> str:
        nonlocal trained
        gc.collect()
        # What did not fit is gone before it is tried with less.
        assert all(network() is None for network in refused)
        if settings.resolved.batch_size == 32 and trained >= after:
            refused.append(weakref.ref(state.network))
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        trained += 1
        return real(state, settings, *given, **options)

    monkeypatch.setattr(one_trial, "fit", full)
    heard = Lines()
    given: dict[str, Any] = {"seeds": 1, "jobs": 1, "runs_directory": tmp_path, "listener": heard}
    if after:
        with pytest.raises(RunError, match="a step of 32 images of no dropout, and the complete trainings had this"):
            begin_ablation(RECIPE.changed({"data": "digits"}), without=["dropout"], **given)
        return
    found = begin_ablation(RECIPE.changed({"data": "digits"}), without=["dropout"], **given)
    assert found.ending == "done" and found.recipe.batch_size == 16 and len(found.trials) == 2 and len(refused) == 1
    assert any("batch size 16, learning rate" in line for line in heard.lines)
