"""The rule that flags an image as a defect, and the threshold that reaches a wanted miss rate.

One class is the good one, and every other class is a defect. An image's defect score is 1 - P(good class); it is
flagged where the score is at least the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.arrays import Floats
from convscope.errors import RunError, did_you_mean
from convscope.files.fields import Fields, in_short
from convscope.files.regular import UnreadableError
from convscope.report.printable import first_and_last
from convscope.report.short_repr import ShortRepr
from convscope.report.units import plural
from convscope.report.usage import Placeholder, call_text, settings_text

# As likely a defect as good.
DEFAULT_THRESHOLD = 0.5
GOOD, DEFECT = "good", "defect"


@dataclass(frozen=True, kw_only=True, repr=False)
class DefectRule(ShortRepr):
    """Which images are flagged.

    Args:
        good_class: the class of good images.
        threshold: of the defect score, 0 to 1; an image with this score or more is flagged.
        miss_rate: the share of defects that may be missed, for which the threshold was chosen; None where it was not.
        defects: the validation defects that it was chosen on; None where it was not.

    >>> rule = DefectRule(good_class="good", threshold=0.2)
    >>> scores = rule.scores(np.array([[0.9, 0.1], [0.7, 0.3]]), ("good", "scratch"))
    >>> scores.round(2).tolist(), [rule.verdict(score) for score in scores]
    ([0.1, 0.3], ['good', 'defect'])
    """

    good_class: str
    threshold: float = DEFAULT_THRESHOLD
    miss_rate: float | None = None
    defects: int | None = None

    def headline(self) -> str:
        """Return the good class, the threshold and the miss rate that it was chosen for."""
        return f"good class {self.good_class}, {self.text}"

    @property
    def text(self) -> str:
        """The threshold, and what it was chosen for."""
        found = f"threshold {self.threshold:.3g}"
        if self.miss_rate is None or self.defects is None:
            return found
        return f"{found}, for a miss rate of {rate(self.miss_rate)}, from {plural(self.defects, 'validation defect')}"

    def scores(self, probabilities: Floats, classes: Sequence[str]) -> Floats:
        """Return the defect scores (N,) of probabilities (N, classes)."""
        found: Floats = 1 - probabilities[:, classes.index(self.good_class)]
        return found

    def flags(self, scores: Floats) -> npt.NDArray[np.bool_]:
        """Return whether each defect score flags its image."""
        return scores >= self.threshold

    def verdict(self, score: float) -> str:
        """Return "good" or "defect" for a defect score."""
        return DEFECT if score >= self.threshold else GOOD

    def chosen_for(self, miss_rate: float, scores_of_defects: Floats) -> DefectRule:
        """Return the rule with the threshold for a wanted miss rate, from the scores of validation defects (n,).

        The threshold is the k-th lowest of the scores, with k = floor((n + 1) · miss_rate): the split conformal
        quantile (Vovk, Gammerman and Shafer 2005; Angelopoulos and Bates 2021, section 1). A new defect of the same
        kind has a lower score, and is missed, with probability k / (n + 1) at most, whatever the network: the
        guarantee holds on average over validation sets. The k-th lowest, not the quantile of the n scores: that one
        misses up to 1 / (n + 1) more.

        Raises:
            RunError: too few defects for this rate.

        >>> scores = np.arange(1, 100) / 100
        >>> DefectRule(good_class="good").chosen_for(0.05, scores).threshold
        0.05
        """
        require_enough(len(scores_of_defects), miss_rate)
        rank = _rank(len(scores_of_defects), miss_rate)
        threshold = float(np.sort(scores_of_defects)[rank - 1])
        return replace(self, threshold=threshold, miss_rate=miss_rate, defects=len(scores_of_defects))

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON's types."""
        return {
            "good_class": self.good_class,
            "threshold": self.threshold,
            "miss_rate": self.miss_rate,
            "validation_defects": self.defects,
        }

    @classmethod
    def from_fields(cls, fields: Fields, classes: Sequence[str]) -> DefectRule:
        """Return the rule that the fields of a file hold; raises UnreadableError where one does not fit."""
        good_class = fields.text("good_class")
        if good_class not in classes:
            raise UnreadableError(f"{fields.place}good_class is {in_short(good_class)}: none of its classes")
        chosen = fields.value("miss_rate") is not None
        return cls(
            good_class=good_class,
            threshold=fields.number("threshold", at_least=0, at_most=1),
            miss_rate=fields.number("miss_rate", at_least=0, at_most=1) if chosen else None,
            defects=fields.integer("validation_defects", at_least=1) if chosen else None,
        )


def require_good_class(name: str, classes: Sequence[str], *, multi_label: bool) -> None:
    """Raise RunError for a good class that is none of the classes, or where an image may have several labels.

    >>> require_good_class("god", ("good", "scratch"), multi_label=False)
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: good_class: no class is called 'god'. Did you mean good? The classes: good, scratch
    """
    if multi_label:
        raise RunError(
            f"good_class {name}: an image has several labels here, and none of them says that it is good as a whole; "
            "label each image with one class"
        )
    if name not in classes:
        shown = first_and_last(classes)
        raise RunError(f"good_class: no class is called {name!r}.{did_you_mean(name, classes)} The classes: {shown}")
    if len(classes) < 2:
        raise RunError(f"good_class {name}: it is the only class, so there are no defects")


def require_enough(defects: int, miss_rate: float, *, trained: bool = False, own_val: bool = False) -> None:
    """Raise RunError where so few validation defects show no threshold with a miss rate as low as this.

    Of a run that is `trained` no more can be held back: another training is advised. To a validation split of the
    user's `own_val` images are added.

    >>> require_enough(12, 0.01)
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: miss_rate 0.01 takes 99 validation defects, and there are 12: hold back more, \
validation_fraction=SHARE, or take 0.077 or more
    """
    if _rank(defects, miss_rate) >= 1:
        return
    held: dict[str, object] = {"validation_fraction": Placeholder("SHARE")}
    more = "hold back more, " + settings_text(**held)
    if trained:
        more = "train anew with more held back, " + call_text("train", Placeholder("DATA"), recipe=held)
    if own_val:
        more = "put more of them into its validation split"
    # The lowest rate with k = 1, rounded up.
    lowest = f", or take {math.ceil(1000 / (defects + 1)) / 1000:g} or more" if defects else ""
    raise RunError(
        f"miss_rate {miss_rate:g} takes {plural(defects_needed(miss_rate), 'validation defect')}, and there are "
        f"{defects:,}: {more}{lowest}"
    )


def defects_needed(miss_rate: float) -> int:
    """Return the fewest validation defects that show a miss rate.

    >>> [defects_needed(rate) for rate in (0.5, 0.05, 0.01)]
    [1, 19, 99]
    """
    return math.ceil(1 / _exact(miss_rate)) - 1


def rate(share: float) -> str:
    """Return a rate in percent, with the decimals that were given.

    >>> rate(0.01), rate(0.005)
    ('1 %', '0.5 %')
    """
    return f"{float(_exact(share) * 100):g} %"


def _rank(defects: int, miss_rate: float) -> int:
    return math.floor((defects + 1) * _exact(miss_rate))


def _exact(miss_rate: float) -> Fraction:
    # As it is written: 0.29 · 100 is 28.999... in floating point.
    return Fraction(repr(float(miss_rate)))
