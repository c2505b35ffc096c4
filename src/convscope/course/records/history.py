"""Chapter 7: the networks from 1998 to 2022, from the catalogue, and the ImageNet challenge's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convscope.course.record import WidgetRecord
from convscope.nets import catalogue
from convscope.nets.timeline import ENTRANTS, HUMAN_TOP5_ERROR

FIRST, LAST = 1998, 2022
# Variants of a network that is there already, and networks of this course's notes.
_LEFT_OUT = ("notes", "mini", "mnist", "-1998", "cifarnet-")


def history() -> dict[str, Any]:
    """Return the networks that take an image, oldest first, and the challenge's errors by year.

    >>> found = history()["networks"]
    >>> found[0]["name"], found[0]["parameters"], found[-1]["year"] <= 2022
    ('lenet5', 61706, True)
    """
    networks = [
        {
            "name": entry.name, "title": entry.title, "year": entry.year, "parameters": entry.parameters,
            "layers": entry.layers, "idea": entry.idea, "paper": entry.paper, "error": entry.published_error,
            "input": list(entry.input_shape),
        }
        for entry in catalogue.ENTRIES
        if FIRST <= entry.year <= LAST and len(entry.input_shape) == 3
        and not any(part in entry.name for part in _LEFT_OUT)
    ]  # fmt: skip
    challenge = [
        {"year": one.year, "title": one.title, "error": one.top5_error, "measured": one.measured, "layers": one.layers,
         "name": one.name}
        for one in ENTRANTS
    ]  # fmt: skip
    return {"first": FIRST, "last": LAST, "networks": networks, "challenge": challenge, "human": HUMAN_TOP5_ERROR}


RECORDS: Mapping[str, WidgetRecord] = {"history": WidgetRecord(make=history, choices={})}
