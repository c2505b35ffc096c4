"""Laws of a run: its seed decides everything, and a run that goes on is the unbroken run, bit for bit."""

from __future__ import annotations

import csv
import random
import signal
from pathlib import Path

import pytest
import torch

from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.runs.checkpoint import load_checkpoint, saved_checkpoints
from convscope.runs.events import Silent, StepProgress
from convscope.runs.run_directory import Run
from convscope.training import kept_state
from convscope.training.loop import loop, state
from convscope.training.loop.step import DeferredCheck, StepInput
from convscope.training.train import train
from convscope.training.train_run import train_on
from trainings import StopAfter, train_watched

EPOCHS = 4
# Dropout, augmentation, a momentum and a schedule: everything that draws or remembers.
RECIPE = Recipe(
    model="alexnet-mini",
    image_size="8",
    epochs=EPOCHS,
    train_images=640,
    batch_size=160,
    threads=1,
    flip=True,
    random_crop_padding=1,
    cutout=2,
    trivial_augment=True,
    mixup=0.4,
    cutmix=1.0,
    precision="fp32",
    autotune="rules",
)


class _StopWithin(Silent):
    """Presses Ctrl-C in the middle of an epoch, and remembers what was said."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self.heard: list[str] = []

    def notify(self, line: str) -> None:
        self.heard.append(line)

    def stepped(self, step: StepProgress) -> None:
        if (step.epoch, step.batch) == (self._epoch, 2):
            signal.raise_signal(signal.SIGINT)


class _StopBeforeTheFirstStep(Silent):
    """Presses Ctrl-C when the run's directory is named."""

    def notify(self, line: str) -> None:
        if line.startswith("run: "):
            signal.raise_signal(signal.SIGINT)


def _trained(folder: Path, recipe: Recipe = RECIPE, **settings: str | int) -> Run:
    changed = recipe.changed(settings)
    return train("digits", changed, runs_directory=folder).run


def _columns(run: Run) -> list[list[str]]:
    """metrics.csv without what a clock says."""
    clocks = ("time", "images_per_second", "data_wait")
    return [[value for name, value in row.items() if name not in clocks] for row in _rows(run)]


def _rows(run: Run) -> list[dict[str, str]]:
    with run.metrics_path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _trained(tmp_path_factory.mktemp("runs"))


# A fitted first layer, Muon beside momentum, a bias that is frozen within the run, and rates that follow validation.
FAST = {"model": "cifarnet-tiny", "optimizer": "muon", "schedule": "plateau", "flip_mode": "alternating"}
FAST |= {"ema_epochs": 0.5, "image_size": "18", "progressive_resize_start": 0.9, "progressive_resize_share": 0.6}


# Of few images, as a processor without bf16 emulates it.
BF16: dict[str, str | int] = {"precision": "bf16", "memory_format": "contiguous", "train_images": 64, "batch_size": 16}


@pytest.mark.parametrize(("settings", "epoch"), [({}, 1), ({"optimizer": "adamw"}, 3), (BF16, 2), (FAST, 2)])
def test_a_resumed_run_is_the_unbroken_one(tmp_path: Path, settings: dict[str, str | int], epoch: int) -> None:
    whole = _trained(tmp_path / "whole", **settings)
    stopped = train_watched("digits", RECIPE.changed(settings), runs_directory=tmp_path, listener=StopAfter(epoch))
    assert (stopped.ending, stopped.exit_code, stopped.epochs) == ("interrupted", 130, epoch)
    resumed = train_on(stopped.run.path, {}, listener=Silent(), cache_directory=None)
    assert (resumed.ending, resumed.epochs) == ("done", EPOCHS)
    assert resumed.run.weights.read_bytes() == whole.weights.read_bytes()
    assert _columns(resumed.run) == _columns(whole)


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adamw"}, FAST])
def test_a_stop_within_an_epoch_loses_none_that_is_complete(
    tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "SHOW_EVERY_SECONDS", 0.0)
    whole = _trained(tmp_path / "whole", **settings)
    stopped = train_watched("digits", RECIPE.changed(settings), runs_directory=tmp_path, listener=_StopWithin(4))
    assert (stopped.ending, stopped.epochs) == ("interrupted", 3)
    again = _StopWithin(EPOCHS + 1)
    resumed = train_on(stopped.run.path, {}, listener=again, cache_directory=None)
    resuming, forecast = again.heard
    assert resuming == f"resuming {stopped.run} after epoch 3 of 4" and forecast.startswith("forecast: about ")
    assert resumed.run.weights.read_bytes() == whole.weights.read_bytes()
    assert _columns(resumed.run) == _columns(whole)


def test_going_on_from_an_older_checkpoint_never_gives_the_best_weights_away(
    unbroken: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "SHOW_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(kept_state, "CHECKPOINT_EVERY_SECONDS", 0.0)
    run = train_watched("digits", RECIPE, runs_directory=tmp_path, listener=_StopWithin(4)).run
    best = run.weights.read_bytes()
    assert [row["best"] for row in _rows(run)][-1] == "1"
    (saved_checkpoints(run.checkpoints)[-1] / "state.json").write_text("damaged")
    again = _StopWithin(3)
    train_on(run.path, {}, listener=again, cache_directory=None)
    assert again.heard[0].endswith("after epoch 2 of 4") and run.weights.read_bytes() == best
    train_on(run.path, {}, listener=Silent(), cache_directory=None)
    assert run.weights.read_bytes() == unbroken.weights.read_bytes()


def test_numbers_that_are_read_a_step_later_change_nothing(
    unbroken: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    class Counting(DeferredCheck):
        def read(self) -> tuple[StepInput, list[float]] | None:
            found = super().read()
            if found is not None:
                reads.append(found[0].step)
            return found

    monkeypatch.setattr(loop, "READ_LATE", ("cpu",))  # as on a GPU
    monkeypatch.setattr(loop, "DeferredCheck", Counting)
    late = _trained(tmp_path)
    assert reads == list(range(len(reads))) and len(reads) >= 2 * EPOCHS
    assert late.weights.read_bytes() == unbroken.weights.read_bytes()
    assert _columns(late) == _columns(unbroken)


def test_a_run_stopped_in_its_first_epoch_starts_over_from_what_it_began_with(tmp_path: Path) -> None:
    # A first layer that is fitted to the images and never trained, and images too small to begin smaller.
    recipe = RECIPE.changed({"model": "cifarnet-tiny", "image_size": "10", "epochs": 1, "test_fraction": 0.8})
    whole = train("digits", recipe, runs_directory=tmp_path / "whole")
    stopped = train_watched("digits", recipe, runs_directory=tmp_path, listener=_StopBeforeTheFirstStep())
    assert (stopped.ending, stopped.epochs) == ("interrupted", 0)
    resumed = train_on(stopped.run.path, {}, listener=Silent(), cache_directory=None)
    assert resumed.run.weights.read_bytes() == whole.run.weights.read_bytes()


def test_the_same_seed_gives_the_same_weights(unbroken: Run, tmp_path: Path) -> None:
    again = _trained(tmp_path)
    assert again.weights.read_bytes() == unbroken.weights.read_bytes()
    assert _columns(again) == _columns(unbroken)
    assert again.recipe() == unbroken.recipe()


def test_another_seed_gives_others(unbroken: Run, tmp_path: Path) -> None:
    other = _trained(tmp_path, seed=1, epochs=1)
    assert other.weights.read_bytes() != unbroken.weights.read_bytes()
    assert other.split_path.read_text() != unbroken.split_path.read_text()


def test_the_users_generators_and_threads_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    handler = signal.getsignal(signal.SIGINT)
    _trained(tmp_path, epochs=1)
    after = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_users_seed_has_no_say(unbroken: Run, tmp_path: Path) -> None:
    torch.manual_seed(123)
    assert _trained(tmp_path).weights.read_bytes() == unbroken.weights.read_bytes()


def test_a_complete_run_goes_on_only_with_more_epochs(unbroken: Run, tmp_path: Path) -> None:
    run = _trained(tmp_path, epochs=1)
    with pytest.raises(RunError, match=r"has all of its 1 epoch: add some with recipe=convscope.Recipe.epochs=11"):
        train_on(run.path, {}, listener=Silent(), cache_directory=None)
    with pytest.raises(RunError, match="batch_size can't change"):
        train_on(run.path, {"batch_size": 7}, listener=Silent(), cache_directory=None)
    more = train_on(run.path, {"epochs": 2}, listener=Silent(), cache_directory=None)
    assert (more.epochs, len(_columns(run))) == (2, 2)
    for epochs in (1, 2):
        with pytest.raises(RunError, match=rf"epochs {epochs}: .* has 2 epochs trained already, give more than 2"):
            train_on(run.path, {"epochs": epochs}, listener=Silent(), cache_directory=None)
    steps = int(more.run.status().step)
    with pytest.raises(
        RunError, match=rf"steps {steps - 1}: .* has 2 epochs of {steps // 2} steps .* more than {steps}"
    ):
        train_on(run.path, {"steps": steps - 1}, listener=Silent(), cache_directory=None)


def test_a_run_of_a_gpu_goes_on_without_one(tmp_path: Path) -> None:
    run = _trained(tmp_path, epochs=1)
    of_gpu = run.recipe().changed({"device": "cuda", "precision": "tf32", "compile": "graphs"})
    run.recipe_path.write_text(to_toml(of_gpu))
    more = train_on(run.path, {"epochs": 2, "device": "cpu"}, listener=Silent(), cache_directory=None)
    again = train_on(run.path, {"epochs": 3}, listener=Silent(), cache_directory=None)
    assert (more.epochs, again.epochs) == (2, 3)
    # It was computed as a CPU computes, and goes on as it began where there is a GPU again.
    saved, recipe = load_checkpoint(run.checkpoints), run.recipe()
    assert saved is not None and saved.values["bits_depend_on"]["precision"] == "fp32"
    assert (recipe.device, recipe.precision, recipe.compile) == ("cpu", "tf32", "graphs")


def test_runs_of_several_seeds_can_share_what_is_held_back(tmp_path: Path) -> None:
    first = _trained(tmp_path, epochs=1)
    second = _trained(tmp_path, epochs=1, seed=1, split_seed=0)
    elsewhere = _trained(tmp_path, epochs=1, seed=1)
    assert second.split_path.read_bytes() == first.split_path.read_bytes() != elsewhere.split_path.read_bytes()
    assert second.weights.read_bytes() != first.weights.read_bytes()
