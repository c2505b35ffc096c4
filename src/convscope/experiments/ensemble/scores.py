"""What an ensemble is worth: each member, their average, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convscope.data.records import ImageSet, Progress
from convscope.errors import RunError
from convscope.train.answers.answer import answer
from convscope.train.answers.metrics import Scores, score
from convscope.train.answers.views import ONE
from convscope.train.directory.run import ModelCard, Run

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EnsembleScores:
    """Measures on one split.

    Args:
        together: those of the averaged probabilities.
        alone: the accuracy of each member.
        first: the accuracy of the first 1, 2, 3, ... members averaged.
        agreement: share of images on which two members give the same class, (members, members).
    """

    together: Scores
    alone: tuple[float, ...]
    first: tuple[float, ...]
    agreement: Floats

    @property
    def mean(self) -> float:
        """The mean accuracy of the members."""
        return float(np.mean(self.alone))

    @property
    def mean_agreement(self) -> float:
        """The mean over all pairs of members."""
        upper = self.agreement[np.triu_indices(len(self.alone), k=1)]
        return float(upper.mean())

    def to_dict(self) -> dict[str, Any]:
        """The measures as JSON can hold them."""
        return {
            **self.together.to_dict(mistakes=0),
            "members": list(self.alone),
            "mean_of_members": self.mean,
            "first_members": list(self.first),
            "mean_agreement": self.mean_agreement,
            "agreement": self.agreement.tolist(),
        }


def compare(
    probabilities: Sequence[Floats], images: ImageSet, *, card: ModelCard, split: str, averaged: Floats | None = None
) -> EnsembleScores:
    """Measure members by their probabilities, each (N, classes), on images with one label each.

    `averaged` is the ensemble's own answer; the mean of the members' unless given. The loss is of averaged
    probabilities, in which one below 1e-12 counts as 1e-12 (`Objective.plain_of_probabilities`).
    """
    labels = images.labels
    sums = np.cumsum(np.stack(probabilities), axis=0)
    called = [some.argmax(1) for some in probabilities]
    return EnsembleScores(
        together=score(
            sums[-1] / len(called) if averaged is None else averaged,
            labels,
            classes=card.classes,
            names=images.names,
            split=split,
            objective=card.objective,
        ),
        alone=tuple(float((own == labels).mean()) for own in called),
        first=tuple(float((some.argmax(1) == labels).mean()) for some in sums),
        agreement=np.array([[float((own == other).mean()) for other in called] for own in called]),
    )


def measure(
    run: Run, members: Sequence[Run], images: ImageSet, *, card: ModelCard, split: str, device: str, progress: Progress
) -> EnsembleScores:
    """Let each member of the ensemble `run` answer, one after the other, and compare.

    Raises:
        RunError: a member that learned other classes, or from images prepared in another way.
    """

    def answers(of: Run, what: str) -> Floats:
        network = of.network().to(device)
        return answer(
            network,
            images,
            card.normalization,
            objective=card.objective,
            device=device,
            views=card.views,
            progress=progress,
            what=f"measuring {what} on {split}",
        )

    for member in members:
        own = member.card()
        if (own.classes, own.decoding) != (card.classes, card.decoding):
            raise RunError(f"{member} does not belong to this ensemble: it has other classes or another preprocessing")
    found = [answers(member, f"member {number}") for number, member in enumerate(members, 1)]
    # Views are averaged as scores, members as probabilities: the order matters, so the ensemble is asked itself.
    averaged = None if card.views == ONE else answers(run, "the ensemble")
    return compare(found, images, card=card, split=split, averaged=averaged)
