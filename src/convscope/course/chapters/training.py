"""Chapter 8: training, one step of it seen whole."""

from __future__ import annotations

from collections.abc import Mapping
from math import log

from convscope.course.chapter import Chapter
from convscope.course.record import make_record
from convscope.course.records.step import CLASSES, FILTERS, NUDGE, digits_taken_for
from convscope.geometry.cost import convolution_cost, linear_cost

_LARGER = "0.5"  # learning rate


def _numbers() -> Mapping[str, object]:
    record = make_record("training-steps", {})
    first, second = record["steps"][:2]
    label = record["label"]
    filters, connected = convolution_cost(1, FILTERS, (3, 3), (6, 6)), linear_cost(FILTERS * 9, CLASSES)
    larger = make_record("training-steps", {"rate": _LARGER})
    taken, of_all = digits_taken_for(label, float(_LARGER))
    images, batch, epochs = 50_000, 128, 10
    return {
        "filters": filters.parameters, "connected": connected.parameters,
        "parameters": filters.parameters + connected.parameters, "classes": CLASSES,
        "label": label, "probability": f"{first['probabilities'][label]:.3f}", "loss": f"{first['loss']:.3f}",
        "nothing": f"{log(CLASSES):.3f}", "loss_after": f"{second['loss']:.3f}", "rate": record["rate"],
        "distance": 2 * NUDGE, "larger_rate": larger["rate"], "loss_larger": f"{larger['steps'][1]['loss']:.3f}",
        "taken": taken, "all_digits": of_all,
        "right_gradient": f"{first['d_scores'][label]:.3f}".replace("-", "−"), "nudge": NUDGE,
        "images": images, "batch": batch, "epochs": epochs, "steps": epochs * -(-images // batch),
        "per_epoch": -(-images // batch), "last_batch": images % batch,
    }  # fmt: skip


CHAPTER = Chapter(
    number=8,
    widget="step",
    exercises=("8a", "8b", "8c", "quiz-four-steps", "quiz-crops", "results"),
    slips=("slip-crops-of-256", "slip-crops-and-flips"),
    numbers=_numbers,
    own="train",
)
