"""The receptive field of a network in one line."""

from __future__ import annotations

from convscope.geometry.relation import ReachStatus
from convscope.graph.network_field import NetworkField
from convscope.interpret.inspection.layer_table import NOTHING, field_range, field_stride
from convscope.report.document import Fact


def field_fact(name: str, found: NetworkField, what: str) -> Fact:
    """Return the network's receptive field: its size and stride, where it is, and what reads whole axes after it."""
    size, stride = field_range(found.fields), field_stride(found.fields)
    unit, whole = ("pixel", "image") if len(found.fields) == 2 else ("position", "input")
    unit += "" if size == "1" else "s"
    spacing = "" if stride == NOTHING else f" at stride {stride}"
    if not found.reader:
        then = "up to the output"
    elif found.reader_status is ReachStatus.WHOLE_AXIS:
        then = f"before {found.reader} reads the whole {whole}"
    elif found.reader_status is ReachStatus.DATA_DEPENDENT:
        then = f"before {found.reader} reads where its values say"
    else:
        then = f"before {found.reader}, which is not known"
    return Fact(name, size, [f.size for f in found.fields], f"{what}{size} {unit}{spacing}, at {found.layer}, {then}")
