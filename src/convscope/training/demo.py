"""`demo`: LeNet-5 on the built-in digits, in seconds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.api.public import public
from convscope.recipe.recipe import Recipe
from convscope.report.progress import ProgressOption
from convscope.runs.events import Listener, OnEpoch

if TYPE_CHECKING:
    from convscope.training.outcome import Outcome

# Chosen by cross-validation on the other four fifths; the fifth that is held out makes the figure a steady one.
RECIPE = Recipe(
    data="digits",
    model="lenet5",
    test_fraction=0.2,
    optimizer="adamw",
    learning_rate=0.003,
    weight_decay=0.01,
    autotune="rules",  # a busy machine would measure the modes, and may choose another
)


@public
def demo(
    *, runs_directory: str | Path = "runs", on_epoch: OnEpoch | None = None, progress: ProgressOption = False
) -> Outcome:
    """Train LeNet-5 (1998) on the 1,797 built-in handwritten digits; arguments as for `convscope.train`.

    Raises:
        RunError: the run can't be written.
    """
    began = time.monotonic()
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch takes any
    from convscope.runs.training_display import listening
    from convscope.training.interrupt import warn_if_interrupted

    with listening(progress) as listener:
        outcome = train_demo(listener=listener, runs_directory=Path(runs_directory), on_epoch=on_epoch, began=began)
    warn_if_interrupted(outcome.run, interrupted=outcome.interrupted)
    return outcome


def train_demo(
    *, listener: Listener, runs_directory: Path, on_epoch: OnEpoch | None = None, began: float | None = None
) -> Outcome:
    """Train the recipe on what is built in, also where a folder has its name; arguments as of `train_run.train_new`."""
    from convscope.data.open import probe
    from convscope.training.train_run import train_new

    return train_new(
        RECIPE,
        listener=listener,
        name="demo",
        runs_directory=runs_directory,
        cache_directory=None,
        given=probe(RECIPE.data, of_run=True),
        on_epoch=on_epoch,
        began=began,
    )
