"""Chapter 5: pooling, equivariance and invariance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convscope.course.chapter import Chapter
from convscope.course.records.shifting import (
    POOLINGS,
    SIDE,
    STRIDE,
    edges,
    equivariance_error,
    interpolated_error,
    max_pooled,
    picture,
)  # fmt: skip
from convscope.course.records.trained import trained_numbers
from convscope.exercises.chapters.pooling import pooled
from convscope.report.units import percent

_FOUR = ((2, 8, 4, 1), (6, 3, 7, 2), (0, 5, 9, 3), (4, 1, 6, 8))


def _numbers() -> Mapping[str, object]:
    map_ = edges(picture("ring"))
    errors = {name: equivariance_error(map_, (0, 1), pool, STRIDE) for name, pool in POOLINGS.items()}
    shifts = trained_numbers()["shifts"]
    strongest = pooled(_FOUR, 2, 2, average=False)
    return {
        "side": SIDE,
        "pooled_side": SIDE // STRIDE,
        "strongest": "; ".join(" ".join(f"{value:g}" for value in row) for row in strongest),
        "stride": STRIDE,
        **{f"error_{name}": f"{error:.3f}" for name, error in errors.items()},
        **{f"half_{name}": f"{interpolated_error(map_, pool):.2f}" for name, pool in POOLINGS.items()},
        "mean": f"{max_pooled(map_).mean():.1f}",
        "mean_moved": f"{max_pooled(np.roll(map_, 1, (0, 1))).mean():.1f}",
        "images": shifts["images"],
        "held_out": shifts["held_out"],
        "shifts": (2 * shifts["margin"] + 1) ** 2,
        "margin": shifts["margin"],
        "same_max": percent(shifts["same"]["max"]),
        "same_blurred": percent(shifts["same"]["blurred"]),
        "accuracy_max": percent(shifts["accuracy"]["max"]),
        "accuracy_blurred": percent(shifts["accuracy"]["blurred"]),
    }


CHAPTER = Chapter(
    number=5,
    widget="pooling",
    exercises=(
        "5a", "5b", "5c", "quiz-max-average", "quiz-pool-work",
    ),
    slips=(
        "slip-equivariance-stride-2", "slip-pooling-shift-1", "slip-scale-invariance", "slip-pool-height-formula",
        "slip-pool-hyperparameters", "slip-pool-summary-heading",
    ),
    numbers=_numbers,
    own="shift",
)  # fmt: skip
