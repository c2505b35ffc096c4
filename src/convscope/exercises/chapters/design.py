"""The design task: choose the layers of a network for small and large lesions in photographs of the retina."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from convscope.errors import GeometryError
from convscope.exercises.chapters.fields import doubled
from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.exercises.stack import StackLayer, fields_of, output_sizes_of

# Side of the photograph, and the smallest and largest lesion, in pixels.
_TASKS = ((512, 10, 200), (512, 8, 150), (512, 12, 250), (256, 7, 100), (384, 9, 120), (448, 10, 180), (768, 12, 300))
LEAST_CELLS = 4  # along each side of the last map
MOST_LAYERS = 40
_BLOCK = ("3", "3", "p")
_AXIS = 2048  # of the stacks that are measured: their fields do not depend on it


def _task(draw: Draw) -> Drawn:
    side, smallest, largest = draw.one(_TASKS)
    largest += 2 * draw.whole(-10, 10)
    numbers = {"side": side, "smallest": smallest, "largest": largest, "cells": LEAST_CELLS, "most": MOST_LAYERS}
    answer = _blocks_until(largest, exact=True)
    return Drawn(
        numbers={**numbers, **_measured(answer, side), "answer": answer, "names": " ".join(answer)},
        answer=answer,
        wrong={
            "doubled": _blocks_until(largest, exact=False),
            "no-pool": ("3",) * draw.whole(8, 16),
            "late": (*("3",) * (smallest // 2 + 1), *answer),
            "vanishes": _BLOCK * 8,
            "small": (*_BLOCK, *_BLOCK[:2]),
        },
    )


def _blocks_until(wanted: int, *, exact: bool) -> tuple[str, ...]:
    """Return blocks of two convolutions and a pooling until the field is large enough, truly or by the wrong rule."""
    names: tuple[str, ...] = _BLOCK[:2]
    while (fields_of(_layers(names), _AXIS)[-1].size if exact else doubled(names)) < wanted:
        names = (*names, "p", *_BLOCK[:2])
    return names


def _layers(names: Sequence[str]) -> tuple[StackLayer, ...]:
    return tuple(StackLayer.named(name) for name in names)


def _measured(names: Sequence[str], side: int) -> dict[str, object]:
    """Return what a design reaches: the last field, the field before the first stride, the last map's side."""
    layers = _layers(names)
    sizes = output_sizes_of(layers, side)
    if sizes[-1] < LEAST_CELLS:
        return {"last": sizes[-1]}
    fields = fields_of(layers, _AXIS)
    early = [field.size for field in takewhile(lambda one: one.stride == 1, fields)]
    rows = [
        {"layer": index + 1, "name": name, "after": field.size, "size": size}
        for index, (name, field, size) in enumerate(zip(names, fields, sizes, strict=True))
    ]
    return {
        "layers": rows, "field": fields[-1].size, "first": max(early, default=1), "last": sizes[-1],
        "doubled": doubled(names), "count": len(names),
    }  # fmt: skip


def _judge(names: tuple[str, ...], numbers: Mapping[str, object]) -> tuple[str, Mapping[str, object]] | None:
    """Return which requirement a design misses, or which wrong rule it follows, with its numbers; None if right."""
    side, smallest, largest = (int(str(numbers[name])) for name in ("side", "smallest", "largest"))
    if len(names) > MOST_LAYERS:
        return "many", {"count": len(names)}
    try:
        found = _measured(names, side)
    except GeometryError:
        return "vanishes", {"last": 0}
    if int(str(found["last"])) < LEAST_CELLS:
        return "vanishes", found
    field, first = (int(str(found[name])) for name in ("field", "first"))
    if field >= largest:
        return ("late", found) if first > smallest else None
    if "p" not in names and not any("/" in name for name in names):
        return "no-pool", found
    return ("doubled" if int(str(found["doubled"])) >= largest else "small", found)


RULES: Mapping[str, ExerciseRule] = {"design": ExerciseRule(kind="layers", draw=_task, judge=_judge)}
