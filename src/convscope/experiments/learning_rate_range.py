"""The learning-rate range test: a short training at rates that grow, and the loss that came of each.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; rates grow by a constant
factor a step, not by a constant amount, so that six powers of ten fit into a hundred steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from convscope.api.generators import OwnGenerators
from convscope.api.public import public
from convscope.data.memory.source import InMemory
from convscope.data.open import Probe
from convscope.data.records import ImageSet
from convscope.data.training_batches import TrainingBatch, TrainingBatches
from convscope.errors import RunError
from convscope.nets.layer_groups import train_mode
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Document, Figure, Paragraph
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.progress import ProgressOption
from convscope.report.table import Column, Table
from convscope.report.units import plural
from convscope.report.usage import call_text, setting_name
from convscope.runs.events import Listener
from convscope.runs.training_display import listening
from convscope.training.given_data import recipe_on
from convscope.training.loop.state import Settings, batches_of, loop_settings, new_state
from convscope.training.loop.step import descend, differentiate
from convscope.training.opening import Opening
from convscope.training.optim.optimizers import set_rate
from convscope.training.resolve.memory import halved, with_backoff
from convscope.training.session import Session, prepare

if TYPE_CHECKING:
    from convscope.report.svg import Drawing

STEPS = 100
ROWS = 16
FEWEST_STEPS = 20
# The sweep goes from the default rate divided by this to the default rate times this.
REACH = 1000.0
# The share of the smoothed loss before in each smoothed loss (Smith's curves are averages; this is the usual amount).
SMOOTHING = 0.9
# The loss has exploded when it is this many times its lowest.
EXPLODED = 4.0
# A loss that fell by less than this part of its start did not fall.
LEAST_FALL = 0.05
# Of the rate with the lowest loss, what is proposed: there the loss is about to rise, a tenth of it is safe.
SAFE = 0.1


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LearningRateRangeTest(Pictured):
    """A rate and a loss for each step; `smoothed` is the running mean of the losses, `exploded` why it ended.

    `default` is the rate that a training takes by itself.
    """

    model: str
    optimizer: str
    batch_size: int
    default: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    exploded: bool

    @property
    def fell(self) -> bool:
        """Whether any rate made the loss fall."""
        return min(self.smoothed) < (1 - LEAST_FALL) * self.smoothed[0]

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss was lowest."""
        return self.rates[min(range(len(self.rates)), key=self.smoothed.__getitem__)]

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss fell fastest, over a tenth of the sweep, per factor of the rate."""
        last = self.rates.index(self.lowest)
        across = max(1, len(self.rates) // 10)
        falls = {
            step: self.smoothed[step + across] - self.smoothed[step]
            for step in range(len(self.rates) - across)
            if step + across <= last
        }
        step = min(falls, key=falls.__getitem__) if falls else 0
        return self.rates[min(step + across // 2, len(self.rates) - 1)]

    @property
    def proposed(self) -> float | None:
        """A tenth of the rate with the lowest loss, in two digits; None where no rate made the loss fall."""
        return float(f"{SAFE * self.lowest:.2g}") if self.fell else None

    def figure(self) -> Drawing:
        """Draw the loss over the learning rate."""
        powers = [math.log10(rate) for rate in self.rates]
        curves = [Curve("smoothed", powers, self.smoothed), Curve("each step", powers, self.losses)]
        return line_chart(
            curves,
            title=f"Learning-rate range test of {self.model}",
            x_label="learning rate, as a power of ten",
            y_label="loss",
            # What exploded would press all the rest flat.
            y_limits=(0.0, 1.2 * self.smoothed[0]),
        )

    def table(self) -> Table:
        """Return learning rates and smoothed losses, evenly spaced, with a bar for each."""
        every = max(1, -(-len(self.rates) // ROWS))
        highest = max(self.smoothed)
        pairs = list(zip(self.rates, self.smoothed, strict=True))[::every]
        columns = [Column("learning rate", numeric=True), Column("smoothed loss", numeric=True), Column("")]
        rows = [
            ((f"{rate:.2g}", rate), (f"{loss:.4f}", loss), "#" * round(30 * loss / highest)) for rate, loss in pairs
        ]
        return Table.of(columns, rows)

    def document(self) -> Document:
        """Return what is shown: the losses by learning rate, and the proposal."""
        ended = "the loss exploded there" if self.exploded else "the loss never exploded"
        lines = [f"{self.model}, {self.optimizer}, batch size {self.batch_size}: up to {self.rates[-1]:.2g}, {ended}"]
        if self.proposed is None:
            lines.append(
                f"no rate made the loss fall: take more {setting_name('steps')}, "
                f"or look at the data with: {call_text('train')}"
            )
        else:
            lines.append(
                f"lowest loss at {self.lowest:.2g}, steepest fall at {self.steepest:.2g}, default {self.default:.2g}"
            )
            lines.append(f"a tenth of the lowest is proposed: {self.proposed:g}")
        return Document(
            f"Learning-rate range test of {self.model}",
            (Figure(self.figure), self.table()),
            summary=tuple(map(Paragraph, lines)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the test as JSON's types; a loss that is no number is "nan" or "inf".

        Keys:
            model: the network.
            optimizer: with which it was trained.
            batch_size: with which it was trained.
            proposed: a tenth of the rate with the lowest loss; None where no rate made the loss fall.
            lowest_loss_at: the rate at which the smoothed loss was lowest.
            steepest_at: the rate at which it fell fastest.
            default: the rate that a training takes by itself.
            exploded: whether the loss exploded at the end.
            rates: the learning rate of each step.
            losses: the loss of each step.
            smoothed: the smoothed loss of each step.
        """
        return json_dict(
            {
                "model": self.model,
                "optimizer": self.optimizer,
                "batch_size": self.batch_size,
                "proposed": self.proposed,
                "lowest_loss_at": self.lowest,
                "steepest_at": self.steepest,
                "default": self.default,
                "exploded": self.exploded,
                "rates": self.rates,
                "losses": self.losses,
                "smoothed": self.smoothed,
            }
        )

    def headline(self) -> str:
        """Return the network, and the rate that is proposed."""
        found = "no rate made the loss fall" if self.proposed is None else f"{self.proposed:g} is proposed"
        return f"{self.model}, {self.optimizer}, batch size {self.batch_size}: {found}"


@public
def lr_find(
    data: str | Path | InMemory,
    recipe: Recipe | None = None,
    *,
    steps: int = STEPS,
    classes: Sequence[str] | None = None,
    cache_directory: str | Path | None = None,
    progress: ProgressOption = False,
) -> LearningRateRangeTest:
    """Train the recipe's network for some steps at growing rates, and discard it; no run is written.

    Augmentation, loss, optimizer and batch size are those of a training, on the same memory. The test ends early where
    the loss explodes.

    Args:
        data: as `convscope.train` takes it.
        recipe: every setting; what is left out follows from the data.
        steps: from the lowest learning rate to the highest, at least 20.
        classes: as `convscope.train` takes them.
        cache_directory: where decoded images are kept.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        ConvscopeError: data, a network or a setting that can't be used, or fewer than 20 steps.

    Source: Smith 2017, section 3.3.

    >>> import convscope
    >>> found = convscope.lr_find("digits", convscope.Recipe(model="lenet5"), steps=20)
    >>> found.model, found.rates[0] < found.default < found.rates[-1]
    ('lenet5', True)
    """
    with listening(progress) as listener:
        cache = None if cache_directory is None else Path(cache_directory)
        recipe, given = recipe_on(data, recipe, classes)
        return range_test(recipe, steps=steps, listener=listener, cache_directory=cache, given=given)


def range_test(
    recipe: Recipe, *, steps: int, listener: Listener, cache_directory: Path | None, given: Probe | None = None
) -> LearningRateRangeTest:
    """Run the range test on `recipe.data`, or on images in memory; arguments and errors are those of `lr_find`."""
    if steps < FEWEST_STEPS:
        raise RunError(f"a range test of {plural(steps, 'step')} shows nothing: take {FEWEST_STEPS} or more")
    session = prepare(
        recipe.changed({"learning_rate": AUTO}),
        Opening(listener=listener, cache_directory=cache_directory, autotune=False, given=given),
    )
    for notice in session.notices:
        (listener.warn if notice.level == "warning" else listener.notify)(notice.text)

    def halve(session: Session, refused: str) -> Session:
        resolved, notice = halved(session.resolved)
        listener.warn(notice.text)
        return replace(session, resolved=resolved)

    return with_backoff(session, lambda session: _measure(session, steps, listener), halve)


def _measure(session: Session, steps: int, listener: Listener) -> LearningRateRangeTest:
    """Sweep over the rates with a fresh network."""
    resolved = session.resolved
    own = session.generators()
    with session.computing():
        network, _ = session.network(own)
        settings = loop_settings(resolved, session.spec, session.train)
        rates, losses, smoothed, exploded = _sweep(settings, network, session.train, steps, listener, own)
    if not rates:
        raise RunError(f"{session.spec.name} has no finite loss before its first step: no rate would help")
    return LearningRateRangeTest(
        model=session.spec.name,
        optimizer=resolved.optimizer,
        batch_size=resolved.batch_size,
        default=resolved.learning_rate,
        rates=tuple(rates),
        losses=tuple(losses),
        smoothed=tuple(smoothed),
        exploded=exploded,
    )


def _sweep(
    settings: Settings, network: torch.nn.Module, train: ImageSet, steps: int, listener: Listener, own: OwnGenerators
) -> tuple[list[float], list[float], list[float], bool]:
    """Rates, losses and smoothed losses of the steps until the last, or until the loss explodes."""
    state = new_state(network, settings.resolved)
    train_mode(state.network)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    batches = batches_of(settings, train)
    with closing(_batches(batches)) as source:  # ends the threads that decode
        for step, batch in zip(range(steps), source, strict=False):
            rate = settings.resolved.learning_rate * REACH ** (2 * step / (steps - 1) - 1)
            set_rate(state.optimizer, _always(rate))
            with own:
                loss = differentiate(state, settings.objective, batch).main.item()
            if not math.isfinite(loss):
                return rates, losses, smoothed, True
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            rates.append(rate)
            losses.append(loss)
            # The mean starts at 0: what it still lacks of the first losses is given back.
            smoothed.append(mean / (1 - SMOOTHING ** (step + 1)))
            if smoothed[-1] > EXPLODED * min(smoothed):
                return rates, losses, smoothed, True
            with own:
                descend(state, gradient_clip=settings.resolved.gradient_clip)
            listener.progressed(step + 1, steps, "trying rates")
    return rates, losses, smoothed, False


def _always(rate: float) -> Callable[[float], float]:
    return lambda until: rate


def _batches(batches: TrainingBatches) -> Generator[TrainingBatch]:
    """Yield batches as the training would have them, epoch after epoch."""
    for epoch in count():
        yield from batches.epoch(epoch)
