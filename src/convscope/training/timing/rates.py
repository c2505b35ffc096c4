"""How fast this machine trains and measures a network: seconds for an image, from which any length's costs follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.training.timing.costs import Costs

# The pictures and tables of a report, what it shows of what was learned, and the small files of a run: at most, and of
# a network that answers in no time. What was learned takes about as long as a view of LEARNED_IMAGES images.
REPORT_SECONDS, QUICK_REPORT_SECONDS, LEARNED_IMAGES = 1.0, 0.4, 300
# A checkpoint is written at the end of an epoch, but not again within these seconds: epochs of small sets are short.
CHECKPOINT_EVERY_SECONDS = 10.0
# Of an epoch after which none is written its tensors are copied in memory, in this share of the time at most.
COPIED = 0.1
# The end of an epoch whatever its images: the fixed part of a forward pass, and the small files.
END_SECONDS = 0.02
# No image takes longer than a day.
MOST_SECONDS = 86_400.0


@dataclass(frozen=True, kw_only=True)
class ImageCounts:
    """What a training works through: images of a step, of the validation, and of the measuring at its end with views.

    Args:
        trained: in an epoch.
        batch: images of a step.
        validated: between two epochs.
        tested: at the end, each in all views: the test images, and those on which the temperature is fitted.
        views: of each of them.
        statistics: on which running statistics are measured anew after an epoch; each process takes them all.
        streamed: whether batches are decoded while steps are computed.
    """

    trained: int
    batch: int
    validated: int
    tested: int
    views: int
    statistics: int = 0
    streamed: bool = False

    def shared_by(self, processes: int) -> ImageCounts:
        """Return what the one with the most of them has, where several processes share the work.

        >>> ImageCounts(trained=900, batch=65, validated=100, tested=0, views=2).shared_by(2)
        ImageCounts(trained=450, batch=33, validated=50, tested=0, views=2, statistics=0, streamed=False)
        """
        trained, batch, validated, tested = (
            -(-count // processes) for count in (self.trained, self.batch, self.validated, self.tested)
        )
        return replace(self, trained=trained, batch=batch, validated=validated, tested=tested)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds for an image on this machine, in one mode of computing.

    Args:
        steps: (side as a share of the full one, seconds of a step for each of its images), the last side is 1.
        prepare: to gather and augment an image of a batch.
        validate: to answer it between two epochs.
        view: to answer one view of it at the end.
        written: seconds in which weights and checkpoint are written.
        fixed: seconds of a step whatever its images: the optimizer's, above all.
        statistics: to measure running statistics anew, for an image.

    >>> rates = Rates(steps=((1.0, 0.002),), prepare=0.001, validate=0.001, view=0.002, written=0.5, fixed=0.1)
    >>> rates.costs(ImageCounts(trained=9_000, batch=100, validated=1_000, tested=500, views=2))
    Costs(before=0.0, steps=((1.0, 0.4),), epoch_end=1.52, finish=3.5, report=1.5, of_time_alone=1.0)

    A checkpoint is not written after each of many short epochs:

    >>> rates.costs(ImageCounts(trained=400, batch=100, validated=400, tested=500, views=2)).epoch_end
    0.521
    """

    steps: tuple[tuple[float, float], ...]
    prepare: float
    validate: float
    view: float
    written: float
    fixed: float = 0.0
    statistics: float = 0.0

    def times(self, factor: float) -> Rates:
        """Return the rates with the seconds multiplied by `factor`, but for those of the disk."""
        return Rates(
            steps=tuple((side, each * factor) for side, each in self.steps),
            prepare=self.prepare * factor,
            validate=self.validate * factor,
            view=self.view * factor,
            written=self.written,
            fixed=self.fixed * factor,
            statistics=self.statistics * factor,
        )

    def of_step(self, images: int) -> float:
        """Return the seconds of a step on a batch of `images` of the full side, once these are prepared.

        >>> Rates(steps=((1.0, 0.25),), prepare=9.0, validate=0.1, view=0.1, written=0.0, fixed=0.5).of_step(2)
        1.0
        """
        return self.fixed + images * self.steps[-1][1]

    @property
    def report(self) -> float:
        """Seconds in which the report is made, without its weights.

        >>> rates = Rates(steps=((1.0, 0.01),), prepare=0.0, validate=0.001, view=0.001, written=0.0)
        >>> round(rates.report, 3), rates.times(10).report
        (0.7, 1.0)
        """
        return min(REPORT_SECONDS, QUICK_REPORT_SECONDS + LEARNED_IMAGES * self.view)

    def costs(self, images: ImageCounts, *, before: float = 0.0) -> Costs:
        """Return the costs of the parts of a training on these numbers of images."""

        def step(each: float) -> float:
            # A stream's batches are decoded while steps are computed, or waited for.
            step, prepare = self.fixed + images.batch * each, images.batch * self.prepare
            return round(max(step, prepare) if images.streamed else step + prepare, 9)

        steps = tuple((side, step(each)) for side, each in self.steps)
        validation = self.validate * images.validated + self.statistics * images.statistics + END_SECONDS
        epoch = -(-images.trained // images.batch) * steps[-1][1] + validation
        checkpoint = self.written * min(1.0, max(COPIED, epoch / CHECKPOINT_EVERY_SECONDS))
        return Costs(
            before=before,
            steps=steps,
            epoch_end=round(validation + checkpoint, 9),
            finish=self.view * images.views * images.tested + self.report + self.written,
            report=self.report + self.written,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the rates as JSON has them."""
        return {
            "sides": [side for side, _ in self.steps],
            "steps": [each for _, each in self.steps],
            **{name: getattr(self, name) for name in _PLAIN},
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Rates:
        """Return the rates that `to_dict` made; raises UnreadableError where it is none.

        >>> rates = Rates(steps=((0.5, 0.001), (1.0, 0.004)), prepare=0.0, validate=0.1, view=0.1, written=0.0)
        >>> Rates.from_fields(Fields(rates.to_dict())) == rates
        True
        """
        fields.require_only("sides", "steps", *_PLAIN)
        sides = fields.numbers("sides", at_least=0, at_most=1)
        each = fields.numbers("steps", at_least=0, at_most=MOST_SECONDS)
        if not sides or sides[-1] != 1 or list(sides) != sorted(set(sides)) or len(sides) != len(each):
            raise UnreadableError(f"{fields.place}sides are not those of {len(each)} steps")
        plain = {name: fields.number(name, at_least=0, at_most=MOST_SECONDS) for name in _PLAIN}
        return cls(steps=tuple(zip(sides, each, strict=True)), **plain)


_PLAIN = ("prepare", "validate", "view", "written", "fixed", "statistics")
