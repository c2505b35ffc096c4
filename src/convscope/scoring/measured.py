"""Scores of one label or several by one interface, and the notes beside them: what an accuracy hides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from convscope.arrays import Floats
from convscope.data.records import Dataset, ImageSet
from convscope.recipe.class_weights import ALIKE
from convscope.report.printable import few
from convscope.report.units import percent
from convscope.report.usage import settings_text
from convscope.scoring.defect_rule import DefectRule
from convscope.scoring.label_scores import LabelScores
from convscope.scoring.metrics import bins_of, calibration_error, score
from convscope.scoring.multi_label import mean_average_precision, score_labels
from convscope.scoring.objective import Objective
from convscope.scoring.scores import SPLIT_NAMES, Scores

AnyScores: TypeAlias = Scores | LabelScores


def measure(
    scores: Floats,
    images: ImageSet,
    *,
    classes: tuple[str, ...],
    split: str,
    objective: Objective,
    rule: DefectRule | None = None,
) -> AnyScores:
    """Return every measure of a network's scores (N, classes) of some images; defects by the rule, if any.

    Raises:
        DataError: no images, or scores that are not numbers.
    """
    probabilities = objective.probabilities_of(scores)
    loss = objective.plain_of_scores(scores, images.answers)
    names = images.names
    found: AnyScores
    if images.targets is not None:
        found = score_labels(
            probabilities,
            images.targets,
            classes=classes,
            objective=objective,
            names=names,
            split=split,
            loss=loss,
            ranks=scores,
        )
        return replace(found, temperature=objective.temperature)
    labels = images.labels
    found = score(
        probabilities,
        labels,
        classes=classes,
        names=names,
        split=split,
        objective=objective,
        loss=loss,
        ranks=scores,
        rule=rule,
    )
    if objective.temperature == 1:
        return found
    before = replace(objective, temperature=1.0).probabilities_of(scores)
    bins = bins_of(before, labels, ranks=scores)
    return replace(found, temperature=objective.temperature, calibration_error_before=calibration_error(bins))


def one_measure(ranks: Floats, images: ImageSet) -> float | None:
    """Return the one number by which weights are chosen, 0 to 1; None if no image has a label.

    `ranks` are scores (N, classes), or probabilities: the order of the classes is all that counts.
    """
    if images.targets is not None:
        return mean_average_precision(ranks, images.targets)
    return float((ranks.argmax(1) == images.labels).mean())


def name_of_measure(*, multi_label: bool) -> str:
    """Return the name of `one_measure`."""
    return "mAP" if multi_label else "accuracy"


FEW = 3


def cautions(scores: AnyScores, *, class_weights: str) -> tuple[str, ...]:
    r"""Return what is to be said beside a split's scores, a sentence each; `class_weights` is the recipe's setting.

    >>> import numpy as np
    >>> from convscope.scoring.metrics import score
    >>> always_a = np.tile([0.9, 0.05, 0.05], (10, 1))
    >>> found = score(always_a, np.array([0] * 8 + [1] * 2), classes=("a", "b", "c"))
    >>> print(*cautions(found, class_weights="none"), sep="\n")
    no test images of 'c': nothing is measured of it
    80.0 % of the test images are of class 'a': predicting it always has that accuracy
    hardly found: 'b' (0 of 2): to weigh rare classes more, train with class_weights='balanced'
    """
    return tuple(_cautions(scores, class_weights))


def _cautions(scores: AnyScores, class_weights: str) -> Iterator[str]:
    # Those of a source without splits are just images.
    images = f"{SPLIT_NAMES.get(scores.split, '')} images".lstrip()
    if scores.unmeasured:
        of = "it" if len(scores.unmeasured) == 1 else "them"
        yield f"no {images} of {_named(scores.unmeasured)}: nothing is measured of {of}"
    if isinstance(scores, LabelScores) or not scores.unequal:
        return
    share = percent(scores.largest_share)
    yield f"{share} of the {images} are of class {scores.largest.name!r}: predicting it always has that accuracy"
    if scores.hidden:
        found = [(item, round(item.images * (item.recall or 0.0))) for item in scores.hidden]
        counts = few([f"{item.name!r} ({right:,} of {item.images:,})" for item, right in found], FEW)
        balanced = settings_text(class_weights="balanced")
        remedy = f": to weigh rare classes more, train with {balanced}" * (class_weights == ALIKE)
        yield f"hardly found: {counts}{remedy}"


def caution_on_validation(dataset: Dataset) -> tuple[str, ...]:
    """Return a sentence on the classes without validation images, where others have some; else nothing."""
    if dataset.val is None or not len(dataset.val):
        return ()
    lacking = [name for name, count in dataset.class_counts("val").items() if not count]
    return (f"no validation images of {_named(lacking)}: the best weights were chosen without them",) if lacking else ()


def _named(names: Sequence[str]) -> str:
    return few([repr(name) for name in names], FEW)
