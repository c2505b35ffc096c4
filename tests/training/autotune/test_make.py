"""Stories of a plan: measured, kept, found again, damaged, overruled; and everything else left as it was."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from convscope.data.batches import measure_normalization
from convscope.data.open import open_dataset, probe
from convscope.data.preprocessing import Preprocessing
from convscope.data.records import ImageSet
from convscope.data.training_batches import TrainingBatch
from convscope.hardware.mode import ComputeMode
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune import make
from convscope.training.autotune.make import make_plan, open_to_plan, work_of
from convscope.training.autotune.record import ModeTrial
from convscope.training.autotune.trial import Work, run_trial
from convscope.training.loop.state import loop_settings
from convscope.training.resolve.resolve import ResolvedRecipe, resolve
from convscope.training.train import train
from convscope.training.train_run import train_on

ASKED = Recipe(data="digits", model="lenet5", epochs=2, batch_size=64)


@pytest.fixture(scope="module")
def digits() -> tuple[ResolvedRecipe, ModelSpec, ImageSet]:
    resolved = resolve(ASKED, probe("digits"))
    dataset = open_dataset("digits", decoding=resolved.decoding)
    assert dataset.train is not None
    spec = ModelSpec(
        name="lenet5",
        options={},
        preprocessing=Preprocessing(
            decoding=resolved.decoding, normalization=measure_normalization(dataset.train), classes=dataset.classes
        ),
    )
    return resolved, spec, dataset.train


Digits = tuple[ResolvedRecipe, ModelSpec, ImageSet]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs are measured too, shortly, and no machine is too busy for its plan to be kept."""
    monkeypatch.setattr(make, "LEAST_RUN_SECONDS", 0.0)
    monkeypatch.setattr("convscope.training.autotune.record.NOISE", float("inf"))
    monkeypatch.setattr("convscope.hardware.run_queue.LITTLE_WAIT", 1.0)


def _no_measuring(*given: object, **settings: object) -> None:
    raise AssertionError("nothing was to be measured")


@pytest.mark.usefixtures("eager")
def test_a_plan_is_measured_once_and_then_known(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_plan(ASKED, *digits, cache_directory=tmp_path)
    assert first.plan is not None
    assert first.resolved.mode == first.plan.mode
    assert "images/s" in first.lines[0]
    monkeypatch.setattr(make, "run_trial", _no_measuring)
    again = make_plan(ASKED, *digits, cache_directory=tmp_path)
    assert again.plan == first.plan
    assert again.resolved.recipe == first.resolved.recipe
    assert "measured before" in again.lines[0]
    with pytest.raises(AssertionError, match="nothing was to be measured"):
        make_plan(ASKED.changed({"autotune": "measure"}), *digits, cache_directory=tmp_path)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1}', "swap", "mode"])
def test_a_damaged_or_foreign_file_is_rewritten(digits: Digits, tmp_path: Path, damage: str) -> None:
    make_plan(ASKED, *digits, cache_directory=tmp_path)
    (path,) = (tmp_path / "plans").iterdir()
    whole = json.loads(path.read_text())
    wrong = copy.deepcopy(whole)
    if damage == "swap":
        wrong["key"]["torch"] = "another"
    if damage == "mode":
        wrong["plan"]["mode"]["precision"] = "fp16"
    path.write_text(json.dumps(wrong) if damage in ("swap", "mode") else damage)
    planned = make_plan(ASKED, *digits, cache_directory=tmp_path)
    assert planned.plan is not None
    assert "measured before" not in planned.lines[0]
    assert json.loads(path.read_text())["key"] == whole["key"]


def test_a_short_run_is_left_to_the_rules(digits: Digits, tmp_path: Path) -> None:
    planned = make_plan(ASKED, *digits, cache_directory=tmp_path)
    assert (planned.plan, planned.resolved, planned.lines) == (None, digits[0], ())
    assert not (tmp_path / "plans").exists()


def test_what_was_said_or_switched_off_is_not_measured(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"precision": "fp32", "memory_format": "contiguous", "compile": "no", "threads": 1}
    monkeypatch.setattr(make, "run_trial", _no_measuring)
    for settings in ({"autotune": "rules"}, said):
        assert make_plan(ASKED.changed(settings), *digits, cache_directory=tmp_path).plan is None
    assert open_to_plan(ASKED.changed({"threads": 2}).left_open, "auto") == {"precision", "memory_format", "compile"}
    assert open_to_plan(ASKED.left_open, "fp32") == {"threads", "memory_format", "compile"}


@pytest.mark.usefixtures("eager")
def test_measuring_leaves_everything_as_it_was(digits: Digits, tmp_path: Path) -> None:
    resolved, spec, images = digits
    torch.manual_seed(7)
    work = Work(
        network=spec.build(),
        settings=loop_settings(resolved, spec, images),
        batch=TrainingBatch(torch.randn(8, 1, 32, 32), torch.arange(8), 8),
    )
    weights = {name: tensor.clone() for name, tensor in work.network.state_dict().items()}
    before = torch.get_rng_state(), torch.get_num_threads()
    mode = ComputeMode(
        precision="bf16", memory_format="channels-last", compile="no", threads=2 if before[1] == 1 else 1
    )
    trial = run_trial(work, mode, seconds=0.0)
    make_plan(ASKED, *digits, cache_directory=tmp_path)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.get_num_threads()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in work.network.state_dict().items())
    assert work.network.training
    assert (trial.images, trial.dropped) == (8, "")
    # From the same weights on the same images, twice the same.
    assert run_trial(work, mode, seconds=0.0).losses == trial.losses


def test_a_mode_that_does_not_run_is_dropped(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, spec, images = digits

    def refuse(*given: object, **settings: object) -> None:
        raise RuntimeError("could not create a primitive\nand so on")

    monkeypatch.setattr("convscope.training.autotune.trial.differentiate", refuse)
    work = Work(
        network=spec.build(),
        settings=loop_settings(resolved, spec, images),
        batch=TrainingBatch(torch.randn(8, 1, 32, 32), torch.arange(8), 8),
    )
    assert run_trial(work, resolved.mode, seconds=0.0).dropped == "does not run here (could not create a primitive)"


@pytest.mark.parametrize(
    ("few", "more", "pilots", "images"),
    [
        # 8 images a step look slow; 64 tell that the run takes 100 s, of which each of 5 modes gets 0.2 s for 4 steps.
        pytest.param(200.0, 600.0, [8, 64], 10, id="quick"),
        # Slow at any size: more images would take seconds, and tell nothing new.
        pytest.param(20.0, 20.0, [8], 10, id="slow"),
    ],
)
def test_measuring_takes_its_share_of_the_run(
    digits: Digits, monkeypatch: pytest.MonkeyPatch, few: float, more: float, pilots: list[int], images: int
) -> None:
    resolved, spec, train = digits
    asked: list[tuple[int, float]] = []

    def trial(work: Work, mode: ComputeMode, *, seconds: float) -> ModeTrial:
        asked.append((len(work.batch.pixels), seconds))
        speed = few if len(work.batch.pixels) <= 8 else more
        return ModeTrial(
            mode=mode, images=len(work.batch.pixels), images_per_second=speed, spread=0.0, first_step=0.0, losses=(1.0,)
        )

    monkeypatch.setattr(make, "run_trial", trial)
    work = work_of(resolved, spec, train)
    run_seconds = 100.0 if more == 600 else 6000.0
    left = int(run_seconds * more)
    assert make._measured(work, frozenset({"precision", "memory_format"}), images=left // 2, always=False)
    assert [size for size, seconds in asked if not seconds] == pilots
    each = min(make.MOST_SECONDS, make.SHARE_OF_RUN * run_seconds) / make.MODES_TRIED
    # A mode that is three times as slow has its steps in its share too.
    assert {(size, round(seconds, 9)) for size, seconds in asked if seconds} == {(images, round(each, 9))}


@pytest.mark.usefixtures("eager")
def test_a_planned_run_holds_its_plan_and_goes_on_as_it_was(tmp_path: Path) -> None:
    """The plan's values are written to recipe.toml, so that a resumed run takes the same."""
    run = train("digits", ASKED.changed({"epochs": 1}), runs_directory=tmp_path).run
    recipe = run.recipe()
    assert {name for name, value in recipe.to_dict().items() if value == "auto"} == {"value_range", "steps"}
    log = run.log_path.read_text()
    assert f"plan: {recipe.precision}, {recipe.memory_format}" in log
    train_on(run.path, {"epochs": 2}, listener=Silent(), cache_directory=None)
    assert run.recipe() == recipe.changed({"epochs": 2})
    assert "last digits" not in run.log_path.read_text()
