"""Missed defects and false alarms of a rule, each with its binomial interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convscope.arrays import Floats, Integers
from convscope.report.document import Fact
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.table import Column, Table
from convscope.report.units import percent
from convscope.scoring.defect_rule import DefectRule
from convscope.scoring.intervals import of_share
from convscope.scoring.threshold_curves import ThresholdCurve, threshold_curve


@dataclass(frozen=True, repr=False)
class Share(ShortRepr):
    """How many of some images, with the 95 % interval of their true share.

    >>> missed = Share(1, 200)
    >>> missed.text, [round(end, 4) for end in missed.interval or ()]
    ('0.50 %, 1 of 200 (95 % interval 0.09 to 2.78 %)', [0.0009, 0.0278])
    """

    count: int
    of: int

    def headline(self) -> str:
        """Return the share, the counts and the interval."""
        return self.text

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None of no images."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of the share; None of no images."""
        return of_share(self.count, self.of) if self.of else None

    @property
    def text(self) -> str:
        """The share, the counts and the interval."""
        if self.interval is None:
            return "no such images"
        low, high = (100 * end for end in self.interval)
        share = percent(self.value, decimals=2)
        return f"{share}, {self.count:,} of {self.of:,} (95 % interval {low:.2f} to {high:.2f} %)"

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, the share and its interval."""
        return {"count": self.count, "of": self.of, "share": self.value, "interval_95": self.interval}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DefectScores(ShortRepr):
    """What a rule misses, and what it flags for nothing.

    Args:
        rule: by which images are flagged.
        missed: defects that are not flagged, of all defects: the miss rate (false-negative rate).
        false_alarms: good images that are flagged, of all good images (false-positive rate).
        by_class: the missed images of each class of defects.
        curve: defects against good images at every threshold; None unless there are both.
    """

    rule: DefectRule
    missed: Share
    false_alarms: Share
    by_class: tuple[tuple[str, Share], ...]
    curve: ThresholdCurve | None

    def headline(self) -> str:
        """Return both shares."""
        return f"missed {self.missed.text}; false alarms {self.false_alarms.text}"

    def to_dict(self) -> dict[str, Any]:
        """Return the rule and the counts as JSON's types."""
        return json_dict(
            {
                **self.rule.to_dict(),
                "missed_defects": self.missed.to_dict(),
                "false_alarms": self.false_alarms.to_dict(),
                "missed_by_class": {name: share.to_dict() for name, share in self.by_class},
                "roc_auc": self.curve.roc_auc if self.curve else None,
                "average_precision": self.curve.average_precision if self.curve else None,
            }
        )

    def facts(self) -> list[Fact]:
        """Return the two shares and the threshold, each with its name."""
        rule, missed, alarms = self.rule, self.missed, self.false_alarms
        return [
            Fact("missed defects", percent(missed.value, decimals=2), missed.value, missed.text),
            Fact("false alarms", percent(alarms.value, decimals=2), alarms.value, alarms.text),
            Fact("defect threshold", f"{rule.threshold:.3g}", rule.threshold, rule.text.removeprefix("threshold ")),
        ]

    def table(self) -> Table | None:
        """Return the missed images of each class of defects; None where there is one class."""
        if len(self.by_class) < 2:
            return None
        columns = [Column("class"), *(Column(head, numeric=True) for head in ("images", "missed", "miss rate"))]
        rows = [
            (name, (f"{share.of:,}", share.of), (f"{share.count:,}", share.count), percent(share.value, decimals=2))
            for name, share in self.by_class
        ]
        return Table.of(columns, rows, title="Missed defects by class")


def score_defects(
    rule: DefectRule, probabilities: Floats, labels: Integers, *, classes: tuple[str, ...]
) -> DefectScores:
    """Measure a rule on probabilities (N, classes) and labels (N,).

    >>> import numpy as np
    >>> answers = np.array([[0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.1, 0.9]])
    >>> found = score_defects(DefectRule(good_class="good"), answers, np.array([0, 0, 1, 1]), classes=("good", "bad"))
    >>> found.missed.count, found.missed.of, found.false_alarms.count, found.false_alarms.of
    (1, 2, 1, 2)
    """
    good = classes.index(rule.good_class)
    scores = rule.scores(probabilities, classes)
    flagged, defect = rule.flags(scores), labels != good
    by_class = (
        (name, Share(int((~flagged & (labels == place)).sum()), int((labels == place).sum())))
        for place, name in enumerate(classes)
        if place != good
    )
    return DefectScores(
        rule=rule,
        missed=Share(int((defect & ~flagged).sum()), int(defect.sum())),
        false_alarms=Share(int((~defect & flagged).sum()), int((~defect).sum())),
        by_class=tuple((name, share) for name, share in by_class if share.of),
        curve=threshold_curve("defect", scores, defect),
    )
