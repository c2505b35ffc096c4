"""What an ensemble is worth: each member, their average, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from convscope.arrays import Floats
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Columns, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.intervals import IntervalRow, interval_plot
from convscope.report.json_values import json_dict
from convscope.report.progress import Progress
from convscope.report.svg import Drawing, beside
from convscope.report.units import percent
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictor import Predictor
from convscope.runs.run_directory import Run
from convscope.scoring.ensemble import averaged
from convscope.scoring.measured import measure as measured
from convscope.scoring.measured import one_measure
from convscope.scoring.scores import SPLIT_NAMES, Scores
from convscope.scoring.test_time_augmentation import ONE


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EnsembleScores(Pictured):
    """Measures on one split.

    Args:
        ensemble: those of the averaged probabilities.
        members: the accuracy of each member.
        first_members: the accuracy of the first 1, 2, 3, ... members averaged.
        agreement: share of images on which two members give the same class, (members, members).
    """

    ensemble: Scores
    members: tuple[float, ...]
    first_members: tuple[float, ...]
    agreement: Floats

    @property
    def mean(self) -> float:
        """The mean accuracy of the members."""
        return float(np.mean(self.members))

    @property
    def gain(self) -> float:
        """The accuracy of the ensemble above the mean of its members, in points."""
        return 100 * (self.ensemble.accuracy_top1 - self.mean)

    @property
    def mean_agreement(self) -> float:
        """The mean over all pairs of members."""
        upper = self.agreement[np.triu_indices(len(self.members), k=1)]
        return float(upper.mean())

    def headline(self) -> str:
        """Return the accuracy of the ensemble and its gain."""
        return f"{self.ensemble.headline()}, {self.gain:+.2f} points above the mean of {len(self.members)} members"

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as JSON's types: the ensemble's by the keys of `Scores.to_dict`, and those below.

        Keys:
            members: the accuracy of each.
            mean_of_members: their mean.
            first_members: the accuracy of the first 1, 2, 3, ... members averaged.
            mean_agreement: share of images on which two members give the same class, mean over all pairs.
            agreement: the same of each pair.
        """
        return json_dict(
            {
                **self.ensemble.to_dict(mistakes=0),
                "members": self.members,
                "mean_of_members": self.mean,
                "first_members": self.first_members,
                "mean_agreement": self.mean_agreement,
                "agreement": self.agreement,
            }
        )

    def figure(self) -> Drawing:
        """Draw the accuracy of the members and the ensemble, and that of the first members averaged."""
        return beside(self.accuracies_figure(), self.growth_figure(), title="Members and ensemble")

    def accuracies_figure(self) -> Drawing:
        """Draw the accuracy of each member, their mean, and the ensemble's."""
        ensemble, mean = 100 * self.ensemble.accuracy_top1, 100 * self.mean
        split = self.ensemble.split
        return interval_plot(
            [
                IntervalRow("ensemble", [], ensemble, None, None, f"{ensemble:.2f} %", "green"),
                IntervalRow("members", [100 * value for value in self.members], mean, None, None, f"{mean:.2f} %"),
            ],
            title="Each member, their mean, and the ensemble",
            x_label=f"accuracy on {SPLIT_NAMES.get(split, split)} images, %",
            limits=(0, 100),
            width=460,
        )

    def growth_figure(self) -> Drawing:
        """Draw the accuracy by number of members."""
        numbers = range(1, len(self.first_members) + 1)
        return line_chart(
            [Curve("the first members, averaged", numbers, [100 * share for share in self.first_members])],
            title="Accuracy by number of members",
            x_label="members",
            y_label="accuracy, %",
            width=460,
            height=240,
        )

    def facts(self) -> tuple[Fact, ...]:
        """Return what averaging gains, each figure with its name."""
        return (
            Fact("Mean of its members", percent(self.mean, decimals=2), self.mean),
            Fact("Gained by averaging", f"{self.gain:+.2f} points", self.gain),
            Fact("Two members agree on", percent(self.mean_agreement), self.mean_agreement),
            Fact("Members", str(len(self.members)), len(self.members)),
        )

    def document(self) -> Document:
        """Return what is shown: the members, what averaging gains, and the ensemble's scores."""
        figures = Columns((Figure(self.accuracies_figure), Figure(self.growth_figure)))
        return Document(self.headline(), (Facts(self.facts()), figures, *self.ensemble.blocks()))


def compare(
    scores: Sequence[Floats], images: ImageSet, *, spec: ModelSpec, split: str, ensemble: Floats | None = None
) -> EnsembleScores:
    """Measure members by their scores, each (N, classes), on images with one label each.

    `ensemble` are the ensemble's own scores; those of the mean of the members' probabilities unless given.
    """
    objective = spec.objective
    if ensemble is None:
        ensemble = averaged(torch.from_numpy(np.stack(scores)), independent=objective.independent).numpy()
    found = measured(ensemble, images, classes=spec.classes, split=split, objective=objective, rule=spec.defect_rule)
    assert isinstance(found, Scores)
    # Members are averaged as they are: the temperature is that of the average.
    probabilities = [spec.of_training.objective.probabilities_of(some) for some in scores]
    predicted = [some.argmax(1) for some in probabilities]
    return EnsembleScores(
        ensemble=found,
        members=_accuracies(probabilities, images),
        first_members=_accuracies(list(np.cumsum(np.stack(probabilities), axis=0)), images),
        agreement=np.array([[float((own == other).mean()) for other in predicted] for own in predicted]),
    )


def _accuracies(probabilities: Sequence[Floats], images: ImageSet) -> tuple[float, ...]:
    return tuple(share for some in probabilities if (share := one_measure(some, images)) is not None)


def measure(
    run: Run, members: Sequence[Run], images: ImageSet, *, spec: ModelSpec, split: str, device: str, progress: Progress
) -> EnsembleScores:
    """Let each member of the ensemble `run` answer, one after the other, and compare.

    Raises:
        RunError: a member that learned other classes, or from images prepared in another way.
    """

    def answers(of: Run, what: str) -> Floats:
        predictor = Predictor(of.network(), spec, device=device)
        return predictor.scores(images, progress=progress, what=f"measuring {what} on {split}")[:, 1]

    for member in members:
        own = member.spec()
        if (own.classes, own.decoding) != (spec.classes, spec.decoding):
            raise RunError(f"{member} does not belong to this ensemble: it has other classes or another preprocessing")
    found = [answers(member, f"member {number}") for number, member in enumerate(members, 1)]
    # Views are averaged as scores, members as probabilities: the order matters, so the ensemble is measured by itself.
    ensemble = None if spec.tta == ONE else answers(run, "the ensemble")
    return compare(found, images, spec=spec, split=split, ensemble=ensemble)
