"""Notes beside an accuracy: classes without images, unequal classes, classes that are hardly found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convscope.data.records import Dataset
from convscope.recipe.class_weights import ALIKE
from convscope.report.units import few, percent
from convscope.scoring.measured import AnyScores
from convscope.scoring.multi_label import LabelScores

# What the images of a split are called; those of a source without splits are just images.
IMAGES_OF = {"test": "test images", "val": "validation images", "train": "training images"}
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
    hardly found: 'b' (0 of 2): to weigh rare classes more, train with --class-weights balanced
    """
    return tuple(_cautions(scores, class_weights))


def _cautions(scores: AnyScores, class_weights: str) -> Iterator[str]:
    images = IMAGES_OF.get(scores.split, "images")
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
        remedy = ": to weigh rare classes more, train with --class-weights balanced" * (class_weights == ALIKE)
        yield f"hardly found: {counts}{remedy}"


def caution_on_validation(dataset: Dataset) -> tuple[str, ...]:
    """Return a sentence on the classes without validation images, where others have some; else nothing."""
    if dataset.val is None or not len(dataset.val):
        return ()
    lacking = [name for name, count in dataset.class_counts("val").items() if not count]
    return (f"no validation images of {_named(lacking)}: the best weights were chosen without them",) if lacking else ()


def _named(names: Sequence[str]) -> str:
    return few([repr(name) for name in names], FEW)
