"""One training of an ablation: the loop of `convscope train` on images that are already open, nothing written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.experiments.ablation.variants import Variant
from convscope.hardware.memory_errors import is_out_of_memory
from convscope.nets.layer_groups import scale_free_of
from convscope.recipe.presets import NAMED
from convscope.report.short_repr import ShortRepr
from convscope.report.units import plural
from convscope.runs.events import EpochRow, Listener
from convscope.runs.layer_norms import NormSample, norm_line, read_norms
from convscope.runs.tensor_files import load_weights
from convscope.scoring.answer import scores_of_images
from convscope.scoring.measured import one_measure
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.loop.loop import fit
from convscope.training.loop.nonfinite import DivergedError
from convscope.training.loop.state import Settings, TrainingState, loop_settings, new_state
from convscope.training.optim.optimizers import default_learning_rate
from convscope.training.resolve.memory import OutOfMemoryError
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.session import Session, held_out

# Training images on which the finished network is measured, to compare with its accuracy on other images.
TRAINING_SAMPLE = 5_000
DIVERGED = "diverged"
_NO_MEMORY = "no memory"


@dataclass(frozen=True, kw_only=True, repr=False)
class Trial(ShortRepr):
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
    # Of each layer at some steps.
    norms: tuple[NormSample, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as JSON can hold it."""
        rows = [asdict(row) for row in self.rows]
        return {**vars(self), "rows": rows, "norms": "".join(map(norm_line, self.norms))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """Return the trial that `to_dict` wrote."""
        rows = tuple(EpochRow(**row) for row in values["rows"])
        return cls(**{**values, "rows": rows, "norms": read_norms(values["norms"])})


def measured_on(session: Session) -> tuple[str, ImageSet]:
    """Return the part that accuracies are of, by name; raises RunError where there is none."""
    part = held_out(session.dataset)
    if part is None:
        raise RunError(f"{session.recipe.data} has neither test nor validation images to measure on")
    return part


def run_trial(
    session: Session, variant: Variant, seed: int, *, listener: Listener, stop: Callable[[], bool]
) -> Trial | None:
    """Train the session's recipe with one thing removed; None when it was stopped before its end.

    The seed decides initial weights, order and augmentation; the split stays the session's own.

    Raises:
        OutOfMemoryError: a step does not fit the memory.
    """
    resolved = session.resolved
    resolved = replace(resolved, recipe=variant.recipe(resolved.recipe.changed({"seed": seed})))
    images = variant.images(session.train, resolved.recipe.seed_of_split)
    seeded = replace(session, resolved=resolved, dataset=replace(session.dataset, train=images))
    own = seeded.generators()
    with seeded.computing():
        network, _ = seeded.network(own)
        first = images.images[np.arange(min(len(images), resolved.batch_size))]
        usual = default_learning_rate(resolved.optimizer, resolved.batch_size, network)
        with own:
            variant.surgery(network, to_floats(first, session.spec.normalization))
        resolved = trained_as(resolved, usual, network)
        settings = loop_settings(resolved, session.spec, images)
        state = new_state(network, resolved)
        ending = _NO_MEMORY
        try:
            ending = fit(
                state, settings, images, session.dataset.val, listener=listener, keep=lambda state: None, stop=stop
            )
        except DivergedError:
            return _finished(variant, seed, DIVERGED, state)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if ending == _NO_MEMORY:
            # Out of the handler, where the error no longer holds what was in memory.
            raise OutOfMemoryError(
                f"the memory does not hold a step of {plural(resolved.batch_size, 'image')} of {variant.label}"
            )
        if ending == "stopped":
            return None
        assert state.best is not None
        load_weights(state.network, state.best.weights, where="the best weights")
        accuracy = _accuracy(state, settings, measured_on(session)[1], resolved.tta)
        return _finished(
            variant, seed, ending, state, accuracy, _accuracy(state, settings, images.spaced(TRAINING_SAMPLE), ONE)
        )


def trained_as(resolved: ResolvedRecipe, before: float, network: nn.Module) -> ResolvedRecipe:
    """Return the recipe for a network after surgery, where `before` was the usual learning rate of the whole one.

    Muon rescales filters whose scale changes no output, and takes a rate that is meant for them (`training.optim`).
    Without the normalization after them that freedom is gone: the filters are then trained as those of any network,
    and everything else learns as fast as in the baseline, so that nothing but the normalization is missing.
    """
    usual = default_learning_rate(resolved.optimizer, resolved.batch_size, network)
    if usual == before or scale_free_of(network):
        return resolved
    decay = float(NAMED["fast"].settings["weight_decay"])
    return resolved.changed(learning_rate=resolved.learning_rate * usual / before, weight_decay=decay)


def own_settings(resolved: ResolvedRecipe, variant: Variant, whole: nn.Module) -> str:
    """Return what a variant's filters are trained with instead of the recipe's settings, or "" where nothing differs.

    `whole` is the baseline's network, which is left as it is.
    """
    before = default_learning_rate(resolved.optimizer, resolved.batch_size, whole)
    network = copy.deepcopy(whole)
    with torch.device("meta"):
        variant.surgery(network, None)
    own = trained_as(resolved, before, network)
    if own is resolved:
        return ""
    return (
        f"{variant.label}: the filters' scale counts then, so they are not rescaled, learn at {own.learning_rate:.2g} "
        f"instead of {resolved.learning_rate:g}, and have weight decay {own.weight_decay:g}, as {resolved.optimizer} "
        "has it for such filters"
    )


def _finished(
    variant: Variant,
    seed: int,
    ending: str,
    state: TrainingState,
    accuracy: float | None = None,
    train_accuracy: float | None = None,
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
        norms=() if state.norms is None else tuple(state.norms.read(state.planned.epoch_steps)),
    )


def _accuracy(state: TrainingState, settings: Settings, images: ImageSet, views: str) -> float:
    device = settings.resolved.device
    scores = scores_of_images(state.network, images, settings.normalization, device=device, views=views)
    accuracy = one_measure(scores[:, 1], images)
    assert accuracy is not None, "images of an ablation have one label each"
    return accuracy
