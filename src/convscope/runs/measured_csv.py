"""The probabilities of measured images as CSV: a row an image, with its true and its predicted class."""

from __future__ import annotations

from collections.abc import Iterator

from convscope.arrays import Floats
from convscope.data.records import ImageSet
from convscope.report.csv_table import csv_text
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictions import probability_columns, share_cell
from convscope.scoring.multi_label import THRESHOLD


def measured_csv(probabilities: Floats, images: ImageSet, spec: ModelSpec) -> str:
    """Return the text of a CSV file: image, true, predicted, and the probability of each class.

    Between them stand verdict and defect_score, where the spec has a good class. Several labels of an image are joined
    by a bar.
    """
    of_rule = ("verdict", "defect_score") if spec.defect_rule else ()
    own = ("image", "true", "predicted", *of_rule)
    return csv_text((*own, *probability_columns(spec.classes, beside=own)), _rows(probabilities, images, spec))


def _rows(probabilities: Floats, images: ImageSet, spec: ModelSpec) -> Iterator[tuple[str, ...]]:
    classes, rule = spec.classes, spec.defect_rule
    for row, (name, shares) in enumerate(zip(images.names, probabilities, strict=True)):
        if images.targets is None:
            true, predicted = classes[images.labels[row]], classes[shares.argmax()]
        else:
            pairs = zip(classes, images.targets[row], shares, strict=True)
            shown = [(name, target, share >= THRESHOLD) for name, target, share in pairs]
            true = "|".join(name for name, target, _ in shown if target)
            predicted = "|".join(name for name, _, is_predicted in shown if is_predicted)
        verdict: tuple[str, ...] = ()
        if rule is not None:
            score = float(rule.scores(shares[None], classes)[0])
            verdict = (rule.verdict(score), f"{score:.6g}")
        yield (name, true, predicted, *verdict, *map(share_cell, shares))
