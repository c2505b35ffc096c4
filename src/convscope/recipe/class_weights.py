"""Class weights in the loss: none, balanced (inverse frequency), or by class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convscope.errors import RunError, did_you_mean
from convscope.report.printable import few

SHOWN = 10  # classes that an error names
ALIKE, BALANCED = "none", "balanced"
# Gradients are as large as the weights, and their squares are summed in float32, which ends at 3e38.
LEAST_WEIGHT, LARGEST_WEIGHT = 1e-12, 1e12


def parse_class_weights(text: str) -> dict[str, float]:
    """Return the weights by class of "cat=2,dog=0.5"; nothing for "none" and "balanced"; raises RunError.

    >>> parse_class_weights("cat=2,dog=0.5"), parse_class_weights("balanced")
    ({'cat': 2.0, 'dog': 0.5}, {})
    """
    weights: dict[str, float] = {}
    if text in (ALIKE, BALANCED):
        return weights
    for part in text.split(","):
        name, sign, number = (piece.strip() for piece in part.rpartition("="))
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not (name and sign and math.isfinite(weight) and weight > 0):
            raise RunError(
                f"class_weights {text!r}: {part.strip()!r} is not CLASS=NUMBER with a number above 0; "
                "it is none, balanced, or like cat=2,dog=0.5"
            )
        if not LEAST_WEIGHT <= weight <= LARGEST_WEIGHT:
            raise RunError(
                f"class_weights {text!r}: {part.strip()!r} is beyond what float32 can sum: "
                f"take {LEAST_WEIGHT:g} to {LARGEST_WEIGHT:g}; only their ratio counts beside the learning rate"
            )
        if name in weights:
            raise RunError(f"class_weights {text!r} names {name!r} twice")
        weights[name] = weight
    return weights


def require_known(text: str, classes: Sequence[str]) -> None:
    """Raise RunError where class weights name a class that the data does not have."""
    if strangers := [name for name in parse_class_weights(text) if name not in classes]:
        near = did_you_mean(strangers[0], classes)
        raise RunError(
            f"class_weights: the data has no class {strangers[0]!r}: its classes are {few(classes, SHOWN)}"
            f"{near and '.' + near}"
        )


def class_weights(
    text: str, *, classes: Sequence[str], counts: Sequence[int], images: int, multi_label: bool = False
) -> tuple[float, ...] | None:
    """Return a weight for each class in order, or None without class weights; a class that is not named has weight 1.

    Balanced, every class weighs as much in all: N / (classes · images of the class), as scikit-learn's
    `compute_class_weight`. With several labels an image each class is balanced against its own absence, which is
    (N - images of the class) / images of the class on every yes. A class without training images has weight 1.

    >>> class_weights("balanced", classes=("cat", "dog"), counts=(30, 10), images=40)
    (0.6666666666666666, 2.0)
    >>> class_weights("dog=3", classes=("cat", "dog"), counts=(30, 10), images=40)
    (1.0, 3.0)

    Raises:
        RunError: a class that is not among `classes`, or text that is no class weights.
    """
    if text == ALIKE:
        return None
    require_known(text, classes)
    if text != BALANCED:
        given = parse_class_weights(text)
        return tuple(given.get(name, 1.0) for name in classes)
    if multi_label:
        return tuple((images - count) / count if 0 < count < images else 1.0 for count in counts)
    return tuple(images / (len(classes) * count) if count else 1.0 for count in counts)
