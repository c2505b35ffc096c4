"""report.html: one page that shows a run; it opens anywhere, without a network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from convscope.data.augment import Augmentation
from convscope.data.records import Dataset
from convscope.train.events import EpochRow
from convscope.train.metrics import Scores
from convscope.train.recipe import Recipe
from convscope.train.run import ModelCard, Run


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything that the page tells."""

    run: Run
    recipe: Recipe
    reasons: tuple[str, ...]
    weights: int
    dataset: Dataset
    card: ModelCard
    augmentation: Augmentation
    rows: tuple[EpochRow, ...]
    best_epoch: int | None
    best_weights: dict[str, Tensor] | None
    ending: str
    scores: Scores | None


def write_report(story: Story) -> None:
    """Write the page into the run directory."""
