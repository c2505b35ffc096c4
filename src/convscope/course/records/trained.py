"""Numbers that need a training, from `trained_numbers.json`, which `docs/generate_course_weights.py` writes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from convscope.course.record import WidgetRecord
from convscope.data.known_answer import known_answers
from convscope.data.records import Pixels
from convscope.files.checked import read_json

PICTURES = ("0", "1", "2", "3")


@cache
def trained_numbers() -> Mapping[str, Any]:
    """Return what the file holds: "shifts", "fields" and "gradients".

    >>> sorted(trained_numbers())
    ['fields', 'gradients', 'shifts']
    """
    return read_json(Path(str(resources.files("convscope.course"))) / "trained_numbers.json").values


@cache
def drawn_picture(row: int) -> Pixels:
    """Return a held-out picture with a mirrored margin, uint8 (80, 80, 3): a shift cuts 64x64 pixels out of it."""
    shifts = trained_numbers()["shifts"]
    radii, noise = tuple(shifts["radii"]), shifts["noise"]
    made = known_answers(row + 1, classes=len(shifts["classes"]), radii=radii, noise=noise, seed=shifts["seed"])
    margin = shifts["margin"]
    found: Pixels = np.pad(made.images[row], ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return found


def _shifted_predictions(number: str) -> dict[str, Any]:
    shifts = dict(trained_numbers()["shifts"])
    chosen = shifts.pop("pictures")[int(number)]
    pixels = drawn_picture(chosen["row"])
    return {**shifts, **chosen, "side": len(pixels), "pixels": base64.b64encode(pixels.tobytes()).decode("ascii")}


RECORDS: Mapping[str, WidgetRecord] = {
    "shifted-predictions": WidgetRecord(
        make=lambda *, picture: _shifted_predictions(picture), choices={"picture": PICTURES}
    ),
    "effective-fields": WidgetRecord(make=lambda: dict(trained_numbers()["fields"]), choices={}),
    "gradient-norms": WidgetRecord(make=lambda: dict(trained_numbers()["gradients"]), choices={}),
}
