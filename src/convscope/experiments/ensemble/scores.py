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
from convscope.report.progress import Progress
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.scoring.answer import scores_of_images
from convscope.scoring.ensemble import averaged
from convscope.scoring.measured import measure as measured
from convscope.scoring.metrics import Scores
from convscope.scoring.test_time_augmentation import ONE


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
        """Return the measures as JSON can hold them."""
        return {
            **self.together.to_dict(mistakes=0),
            "members": list(self.alone),
            "mean_of_members": self.mean,
            "first_members": list(self.first),
            "mean_agreement": self.mean_agreement,
            "agreement": self.agreement.tolist(),
        }


def compare(
    scores: Sequence[Floats], images: ImageSet, *, spec: ModelSpec, split: str, together: Floats | None = None
) -> EnsembleScores:
    """Measure members by their scores, each (N, classes), on images with one label each.

    `together` are the ensemble's own scores; those of the mean of the members' probabilities unless given.
    """
    objective, labels = spec.objective, images.labels
    if together is None:
        together = averaged(torch.from_numpy(np.stack(scores)), independent=objective.independent).numpy()
    found = measured(together, images, classes=spec.classes, split=split, objective=objective)
    assert isinstance(found, Scores)
    probabilities = [objective.probabilities_of(some) for some in scores]
    sums = np.cumsum(np.stack(probabilities), axis=0)
    predicted = [some.argmax(1) for some in probabilities]
    return EnsembleScores(
        together=found,
        alone=tuple(float((own == labels).mean()) for own in predicted),
        first=tuple(float((some.argmax(1) == labels).mean()) for some in sums),
        agreement=np.array([[float((own == other).mean()) for other in predicted] for own in predicted]),
    )


def measure(
    run: Run, members: Sequence[Run], images: ImageSet, *, spec: ModelSpec, split: str, device: str, progress: Progress
) -> EnsembleScores:
    """Let each member of the ensemble `run` answer, one after the other, and compare.

    Raises:
        RunError: a member that learned other classes, or from images prepared in another way.
    """

    def answers(of: Run, what: str) -> Floats:
        network = of.network().to(device)
        return scores_of_images(
            network,
            images,
            spec.normalization,
            device=device,
            views=spec.tta,
            progress=progress,
            what=f"measuring {what} on {split}",
        )[:, 1]

    for member in members:
        own = member.spec()
        if (own.classes, own.decoding) != (spec.classes, spec.decoding):
            raise RunError(f"{member} does not belong to this ensemble: it has other classes or another preprocessing")
    found = [answers(member, f"member {number}") for number, member in enumerate(members, 1)]
    # Views are averaged as scores, members as probabilities: the order matters, so the ensemble is measured by itself.
    together = None if spec.tta == ONE else answers(run, "the ensemble")
    return compare(found, images, spec=spec, split=split, together=together)
