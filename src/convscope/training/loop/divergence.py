"""What is to be said of a training whose loss grew: whether it diverged without ending, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from convscope.report.units import loss as shown
from convscope.runs.events import EpochRow
from convscope.training.loop.state import Settings
from convscope.training.optim.optimizers import against_divergence

# A training has diverged whose last epoch's loss is so many times its first one's, or that of knowing nothing.
RISEN = 10.0
# Class weights that differ by more than this may be what a training broke on.
EXTREME_RATIO = 1e4


def advice_for(settings: Settings, network: nn.Module, *, of_class_weights: bool = False) -> str:
    """What to do about a training that diverged; `of_class_weights` says that it is known to be their doing."""
    weights = settings.objective.class_weights
    ratio = 1.0 if weights is None else float(weights.max() / weights.min())
    lower = _lower_rate(settings, network)
    if ratio <= EXTREME_RATIO and not of_class_weights:
        return lower
    closer = f"bring the class weights closer together (they differ by a factor of {ratio:.3g})"
    return closer if of_class_weights else f"{closer}, or {lower}"


def remark_on(rows: Sequence[EpochRow], settings: Settings, network: nn.Module, *, classes: int) -> str | None:
    """A line on a training that came to its end although its loss had grown far; None where it had not."""
    nothing = settings.objective.plain_of_nothing(classes)
    if not rows or not has_risen(rows[0].train_loss, rows[-1].train_loss, nothing=nothing):
        return None
    before = f" in the last epoch, was {shown(rows[0].train_loss)} in the first," if len(rows) > 1 else ""
    return (
        f"the training diverged: the training loss is {shown(rows[-1].train_loss)}{before} and is "
        f"{shown(nothing)} for a network that knows nothing: train anew, and {advice_for(settings, network)}, "
        "or let convscope lr-find find one"
    )


def has_risen(first: float, last: float, *, nothing: float) -> bool:
    """Whether a loss ended far above where it began, or above `nothing`, that of a network that knows nothing.

    >>> has_risen(9086.0, 1.7e15, nothing=1.1), has_risen(2.0, 0.3, nothing=2.3), has_risen(0.001, 0.02, nothing=2.3)
    (True, False, False)
    """
    return last > nothing and last > RISEN * min(first, nothing)


def _lower_rate(settings: Settings, network: nn.Module) -> str:
    return against_divergence(
        settings.resolved.learning_rate,
        optimizer=settings.resolved.optimizer,
        batch_size=settings.resolved.batch_size,
        network=network,
        clipped=bool(settings.resolved.gradient_clip),
    )
