"""An ablation of digits that is over in a second or two, and what its trainings came to."""

from __future__ import annotations

from typing import Any

from convscope.experiments.ablation.record import Ablation
from convscope.recipe.recipe import Recipe

# 8 pixels, 539 images and one epoch: enough to compare, over in a second.
RECIPE = Recipe(
    model="alexnet-mini",
    image_size="8",
    validation_fraction=0.2,
    test_fraction=0.5,
    epochs=1,
    batch_size=32,
    threads=1,
    precision="fp32",
    learning_rate=0.05,
    autotune="rules",
)


def results(ablation: Ablation) -> dict[tuple[str, int], tuple[Any, ...]]:
    """What every training came to, without what a clock says."""
    return {
        (t.variant, t.seed): (t.accuracy, t.train_accuracy, t.best_val_accuracy, t.rows[-1].train_loss)
        for t in ablation.trials
    }
