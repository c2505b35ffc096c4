"""Interventions as a link writes them: changes of the image and of the network, read and checked. No torch.

In a link's `x` they are joined by ";". Their forms, where a value or a module (V, M) has its own % and ; encoded once
more:

    shift:DY,DX   rotate:DEGREES   blur:SIGMA   crop:Y0,X0,Y1,X1   occlude:Y0,X0,Y1,X1
    off:V:CHANNEL   kernel:M:OUT:IN:W,W,W/W,W,W/W,W,W

A number is written in decimals with the fewest digits that give it back, without an exponent, and no ".0".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from convscope.studio.link_text import (
    LARGEST,
    Note,
    Unreadable,
    decimal,
    inner_decoded,
    inner_encoded,
    moved,
    number_text,
    wholes,
)

MOST_INTERVENTIONS = 16
MOST_WEIGHTS = 15 * 15
MOST_DEGREES, LARGEST_SHIFT, LARGEST_SIGMA = 360.0, 4096, 32.0

Intervention = dict[str, Any]


def interventions_of(text: str, note: Note) -> tuple[Intervention, ...]:
    """Return the interventions of a link's `x`, decoded, the first ones where there are too many.

    Raises:
        Unreadable: one can't be used.
    """
    found = [_intervention(part) for part in text.split(";") if part]
    if len(found) > MOST_INTERVENTIONS:
        note(f"the first {MOST_INTERVENTIONS}")
    return tuple(found[:MOST_INTERVENTIONS])


def interventions_text(changes: Iterable[Intervention]) -> str:
    """Return interventions as a link's `x` holds them.

    >>> interventions_text([{"op": "shift", "dy": 3, "dx": -2}, {"op": "blur", "sigma": 1.5}])
    'shift:3,-2;blur:1.5'
    """
    return ";".join(map(_intervention_text, changes))


def for_other_network(changes: Iterable[Intervention]) -> list[Intervention]:
    """Return the changes that a second network beside the first gets too.

    A kernel is of one network: where one is replaced, no network is changed but the first.

    >>> for_other_network([{"op": "blur", "sigma": 1.5}, {"op": "kernel", "module": "conv1"}])
    [{'op': 'blur', 'sigma': 1.5}]
    """
    kept = list(changes)
    if any(change["op"] == "kernel" for change in kept):
        kept = [change for change in kept if change["op"] not in ("kernel", "channel_off")]
    return kept


def parse_interventions(text: str) -> tuple[tuple[Intervention, ...], tuple[str, ...]]:
    """Return the interventions of a link's `x`, decoded, and a note where they can't be read, or are too many."""
    notes: list[str] = []
    try:
        return interventions_of(text, lambda shown: notes.append(moved("x", text, shown))), tuple(notes)
    except Unreadable as reason:
        return (), (f"x is left out: {reason}",)


def read_intervention(value: Any) -> Intervention:
    """Return an intervention of a request as a link would carry it: its fields checked and within range.

    Raises:
        ValueError: it is none, with what is needed.
    """
    try:
        return _intervention(_intervention_text(value))
    except Unreadable as reason:
        raise ValueError(str(reason)) from None
    except (KeyError, TypeError, AttributeError):
        raise ValueError('an intervention is an object, as {"op": "shift", "dy": 3, "dx": -2}') from None


def _intervention(text: str) -> Intervention:
    """Return one intervention; raises Unreadable where its form or a number in it can't be used."""
    op, _, rest = text.partition(":")
    match op:
        case "shift":
            dy, dx = wholes(rest, 2, -LARGEST_SHIFT, LARGEST_SHIFT)
            return {"op": op, "dy": dy, "dx": dx}
        case "rotate":
            return {"op": op, "degrees": decimal(rest, -MOST_DEGREES, MOST_DEGREES)}
        case "blur":
            return {"op": op, "sigma": decimal(rest, 0.0, LARGEST_SIGMA)}
        case "crop" | "occlude":
            box = wholes(rest, 4, 0, LARGEST)
            if box[0] >= box[2] or box[1] >= box[3]:
                raise Unreadable(f"{op} needs Y0,X0,Y1,X1 with Y0 < Y1 and X0 < X1")
            return {"op": op, "box": box}
        case "off":
            value, _, channel = rest.rpartition(":")
            return {"op": "channel_off", "value": _named(value), "channel": wholes(channel, 1, 0, LARGEST)[0]}
        case "kernel":
            parts = rest.rsplit(":", 3)
            if len(parts) != 4:
                raise Unreadable("kernel needs a module, two channels and weights")
            rows = [[decimal(weight) for weight in row.split(",")] for row in parts[3].split("/")]
            if len({len(row) for row in rows}) > 1 or sum(map(len, rows)) > MOST_WEIGHTS:
                raise Unreadable(f"kernel needs rows of the same length, at most {MOST_WEIGHTS} weights in all")
            out, into = (wholes(part, 1, 0, LARGEST)[0] for part in parts[1:3])
            return {"op": op, "module": _named(parts[0]), "out": out, "in": into, "weights": rows}
    raise Unreadable("it names a change that is not known")


def _named(text: str) -> str:
    name = inner_decoded(text)
    if not name:
        raise Unreadable("the name of a layer is needed")
    return name


def _intervention_text(change: Intervention) -> str:
    match change["op"]:
        case "shift":
            return f"shift:{change['dy']},{change['dx']}"
        case "rotate":
            return f"rotate:{number_text(change['degrees'])}"
        case "blur":
            return f"blur:{number_text(change['sigma'])}"
        case "channel_off":
            return f"off:{inner_encoded(change['value'])}:{change['channel']}"
        case "kernel":
            rows = "/".join(",".join(map(number_text, row)) for row in change["weights"])
            return f"kernel:{inner_encoded(change['module'])}:{change['out']}:{change['in']}:{rows}"
    return f"{change['op']}:{','.join(map(str, change['box']))}"
