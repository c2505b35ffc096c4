"""`demo`: LeNet-5 on the built-in digits, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convscope.api.public import public
from convscope.recipe.recipe import Recipe
from convscope.report.progress import ProgressOption
from convscope.runs.events import OnEpoch
from convscope.training.train import train

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
    return train(RECIPE.data, RECIPE, name="demo", runs_directory=runs_directory, on_epoch=on_epoch, progress=progress)
