"""One training of an ablation: the loop of `convscope train` on images that are already open, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.data.batches import to_floats
from convscope.data.open import Probe
from convscope.data.records import Dataset, ImageSet
from convscope.errors import RunError
from convscope.experiments.ablation.filter_scale import trained_as
from convscope.experiments.ablation.variants import Variant
from convscope.recipe.recipe import Recipe
from convscope.runs.events import EpochRow, Listener
from convscope.runs.model_spec import ModelSpec
from convscope.runs.tensor_files import load_weights
from convscope.scoring.answer import answer
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.job import loop_settings
from convscope.training.loop.loop import fit
from convscope.training.loop.nonfinite import DivergedError
from convscope.training.loop.state import Settings, TrainingState, new_state
from convscope.training.opening import open_images, own_torch, spec_of
from convscope.training.optim.optimizers import default_learning_rate
from convscope.training.resolve.memory import is_out_of_memory
from convscope.training.resolve.resolve import resolve
from convscope.training.start import read_start, starting_network

# Training images on which the finished network is measured, to see how much better it knows them than others.
TRAINING_SAMPLE = 5_000
DIVERGED = "diverged"
_NO_MEMORY = "no memory"


class OutOfMemoryError(RunError):
    """The memory does not hold a training's step."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every training of an ablation shares: the settled baseline recipe and the images, opened once."""

    recipe: Recipe
    found: Probe
    dataset: Dataset
    train: ImageSet
    spec: ModelSpec

    @property
    def measured_on(self) -> tuple[str, ImageSet]:
        """The split that accuracies are of: test where there is one, else val."""
        parts = {"test": self.dataset.test, "val": self.dataset.val}
        for name, images in parts.items():
            if images is not None and len(images):
                return name, images
        raise RunError(f"{self.recipe.data} has neither test nor validation images to measure on")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one training came to. Accuracies are those of its best weights; None where it diverged.

    `train_accuracy` is measured on (at most 5,000) training images without augmentation, in evaluation mode; `seconds`
    is the time of training and validation.
    """

    variant: str
    seed: int
    ending: str
    accuracy: float | None
    train_accuracy: float | None
    best_val_accuracy: float | None
    best_epoch: int | None
    seconds: float
    rows: tuple[EpochRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """The trial as JSON can hold it."""
        return {**vars(self), "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """The trial that `to_dict` wrote."""
        return cls(**{**values, "rows": tuple(EpochRow(**row) for row in values["rows"])})


def open_bench(recipe: Recipe, found: Probe, listener: Listener, cache_directory: Path | None) -> Bench:
    """Open the images of a recipe that has nothing left open."""
    resolved = resolve(recipe, found)
    dataset, train = open_images(found, resolved, listener, cache_directory)
    return Bench(recipe=recipe, found=found, dataset=dataset, train=train, spec=spec_of(resolved, dataset, train))


def run_trial(
    bench: Bench, variant: Variant, seed: int, *, listener: Listener, stop: Callable[[], bool]
) -> Trial | None:
    """Train the bench's recipe with one thing removed; None when it was stopped before its end.

    The seed decides initial weights, order and augmentation; the split stays the bench's own.
    """
    resolved = resolve(variant.recipe(bench.recipe.changed({"seed": seed})), bench.found)
    start = read_start(resolved.recipe, classes=len(bench.spec.classes), decoding=resolved.decoding)
    images = variant.images(bench.train, resolved.recipe.seed_of_split)
    settings = loop_settings(resolved, bench.spec, images)
    with own_torch(resolved):
        torch.default_generator.manual_seed(seed)
        network, _ = starting_network(bench.spec, resolved.recipe, start, images)
        first = images.images[np.arange(min(len(images), resolved.batch_size))]
        usual = default_learning_rate(settings.resolved.optimizer, settings.resolved.batch_size, network)
        variant.surgery(network, to_floats(first, bench.spec.normalization))
        settings = replace(settings, resolved=trained_as(resolved, usual, network))
        state = new_state(network, settings.resolved)
        try:
            ending = fit(
                state, settings, images, bench.dataset.val, listener=listener, keep=lambda state: None, stop=stop
            )
        except DivergedError:
            return _finished(bench, variant, seed, DIVERGED, state, None, None)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            ending = _NO_MEMORY
        if ending == _NO_MEMORY:
            # Out of the handler, where the refusal no longer holds what was in memory.
            raise OutOfMemoryError(
                f"the memory does not hold a step of {settings.resolved.batch_size} images of {variant.label}"
            )
        if ending == "stopped":
            return None
        assert state.best is not None
        load_weights(state.network, state.best.weights, where="the best weights")
        return _finished(
            bench,
            variant,
            seed,
            ending,
            state,
            _accuracy(state, settings, bench.measured_on[1], resolved.recipe.tta),
            _accuracy(state, settings, _sample(images), ONE),
        )


def _finished(
    bench: Bench,
    variant: Variant,
    seed: int,
    ending: str,
    state: TrainingState,
    accuracy: float | None,
    train_accuracy: float | None,
) -> Trial:
    best = state.best
    return Trial(
        variant=variant.name,
        seed=seed,
        ending=ending,
        accuracy=accuracy,
        train_accuracy=train_accuracy,
        best_val_accuracy=best.accuracy if best else None,
        best_epoch=best.epoch if best else None,
        seconds=state.seconds,
        rows=tuple(state.rows),
    )


def _accuracy(state: TrainingState, settings: Settings, images: ImageSet, views: str) -> float:
    probabilities = answer(
        state.network,
        images,
        settings.normalization,
        objective=settings.objective,
        device=settings.resolved.device,
        views=views,
    )
    return float((probabilities.argmax(1) == images.labels).mean())


def _sample(images: ImageSet) -> ImageSet:
    """At most TRAINING_SAMPLE images, evenly spaced."""
    rows = np.arange(0, len(images), -(-len(images) // TRAINING_SAMPLE))
    names = [images.names[row] for row in rows.tolist()]
    return replace(
        images, images=np.asarray(images.images[rows]), labels=images.labels[rows], names=names, targets=None
    )
