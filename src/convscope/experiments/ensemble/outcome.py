"""What training an ensemble came to: its record, as text, JSON and a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from convscope.errors import RunError
from convscope.experiments.ensemble.scores import EnsembleScores
from convscope.report.document import Document, Figure, Paragraph
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import from_here
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing
from convscope.report.units import interval, percent, plural
from convscope.report.usage import call_text
from convscope.runs.run_directory import Run
from convscope.scoring.scores import SPLIT_NAMES
from convscope.training.timing.forecast import Forecast


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EnsembleOutcome(Pictured):
    """What came out: the directory, how it ended, the members there are, the scores if done.

    `ending` is "done", "stopped" (by a callback) or "interrupted" (by Ctrl-C or a signal).
    """

    run: Run
    ending: Literal["done", "stopped", "interrupted"]
    exit_code: int
    members: tuple[Run, ...]
    planned: int
    scores: EnsembleScores | None
    # What the scores hide, a sentence each.
    cautions: tuple[str, ...] = ()
    # Of all members, before the first of them.
    forecast: Forecast | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or a signal ended the training."""
        return self.ending == "interrupted"

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON's types.

        Keys:
            run: the directory of the ensemble.
            ending: done, stopped (by a callback) or interrupted (by Ctrl-C or a signal).
            members: the run directory of each that is trained.
            planned: how many there are to be.
            scores: with the keys of `EnsembleScores.to_dict`; None before all are trained, or without images.
            cautions: what the scores hide, a sentence each.
            forecast: of all members that were to be trained, with the keys of one training's.
            report: the page.
        """
        return json_dict(
            {
                "run": str(self.run.path),
                "ending": self.ending,
                "members": [str(member.path) for member in self.members],
                "planned": self.planned,
                "scores": self.scores.to_dict() if self.scores else None,
                "cautions": self.cautions,
                "forecast": None if self.forecast is None else self.forecast.to_dict(),
                "report": str(self.run.report),
            }
        )

    def headline(self) -> str:
        """Return the name, how it ended, and the accuracy."""
        found = f"{self.ending}, {len(self.members)} of {plural(self.planned, 'member')}"
        if self.scores is not None:
            ensemble = self.scores.ensemble
            accuracy = percent(ensemble.accuracy_top1, decimals=2)
            found += f", {ensemble.split} accuracy {accuracy} ({self.scores.gain:+.2f} points)"
        return f"{short_path(self.run.path.name)}: {found}"

    def lines(self) -> list[str]:
        """Return how the training ended and the scores, in a few lines."""
        if self.ending != "done":
            there = plural(len(self.members), "member")
            go_on = call_text("train", resume=self.run)
            return [f"stopped with {there} of {self.planned}; to go on: {go_on}"]
        if self.scores is None:
            return [f"trained {plural(len(self.members), 'member')}; there are no images to measure them on"]
        scores = self.scores
        ensemble = scores.ensemble
        members = ", ".join(percent(value, decimals=2) for value in scores.members)
        return [
            f"{plural(len(self.members), 'member')}, {SPLIT_NAMES[ensemble.split]} accuracy of each: {members}",
            f"their mean {percent(scores.mean, decimals=2)}, "
            f"averaged {percent(ensemble.accuracy_top1, decimals=2)} ({scores.gain:+.2f} points; "
            f"{interval(ensemble.accuracy_interval)}); "
            f"two of them agree on {percent(scores.mean_agreement)}",
            f"averaged, balanced accuracy {percent(ensemble.balanced_accuracy, decimals=2)}, "
            f"macro F1 {percent(ensemble.macro_f1, decimals=2)}, "
            f"calibration error {percent(ensemble.calibration_error)}{ensemble.before_temperature}",
            *(f"note: {caution}" for caution in self.cautions),
            f"report {from_here(self.run.report)}",
        ]

    def figure(self) -> Drawing:
        """Draw the accuracy of the members and the ensemble; raises RunError where it is not measured."""
        if self.scores is None:
            raise RunError(f"{self.run} is not measured, so there is nothing to draw: {self.lines()[0]}")
        return self.scores.figure()

    def document(self) -> Document:
        """Return what is shown: how the training ended, and the scores."""
        figures = () if self.scores is None else (Figure(self.figure), Figure(self.scores.ensemble.figure))
        return Document(str(self.run), (*map(Paragraph, self.lines()), *figures))
