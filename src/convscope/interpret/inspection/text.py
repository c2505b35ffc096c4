"""An inspection in a terminal: the table, the totals, what is not counted, and the warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from convscope.graph.diagnose.diagnose import Folded, fold_warnings
from convscope.graph.diagnose.finding import DesignWarning
from convscope.graph.figures import widest_field
from convscope.interpret.inspection.layer_table import field_size, field_stride
from convscope.interpret.inspection.record import Inspection
from convscope.report import units
from convscope.report.table import rich_table, table_text

if TYPE_CHECKING:
    from rich.console import RenderableType

NAMED = 6  # this many further layers of a folded warning are named


def title(inspection: Inspection) -> str:
    """What was inspected, on what."""
    graph = inspection.graph
    shapes = " and ".join(units.shape(graph.shape(value)[1:]) for value in graph.inputs)
    if inspection.batch > 1:
        shapes = f"a batch of {inspection.batch} samples of {shapes}; the table is of one"
    return f"{graph.name} on {shapes}" if shapes else graph.name


def totals(inspection: Inspection) -> list[tuple[str, str]]:
    """The totals, each with its name."""
    graph = inspection.graph
    records = [record for record in graph.parameters if not record.buffer]
    trainable = sum(r.spec.elements for r in records if r.trainable)
    frozen = "" if trainable == inspection.parameters else f", {units.exact(trainable)} of them trainable"
    weight_bytes = units.byte_size(sum(r.spec.bytes for r in records))
    batch = inspection.batch
    macs, kept, peak = inspection.macs, inspection.activation_bytes, inspection.peak_bytes
    many = batch > 1
    lines = [
        ("parameters", f"{units.exact(inspection.parameters)} ({weight_bytes}){frozen}"),
        ("MACs", f"{units.exact(macs)} for one sample" + (f", {units.exact(macs * batch)} for {batch}" * many)),
        (
            "activations",
            f"{units.byte_size(kept)} for one sample, at most {units.byte_size(peak // batch)} of them at a time "
            "without gradients" + (f"; {units.byte_size(kept * batch)} and {units.byte_size(peak)} for {batch}" * many),
        ),
    ]
    if many and graph.outputs:
        lines.append(("output", " and ".join(units.shape(graph.shape(value)) for value in graph.outputs)))
    widest = widest_field(graph, inspection.layers)
    if widest is not None and inspection.source is not None:
        fields = widest.field_along(inspection.source)
        size, stride = field_size(fields), field_stride(fields)
        unit, whole = ("pixel", "image") if len(fields) == 2 else ("position", "input")
        unit += "" if size == "1" else "s"
        where = f"at {widest.name}, the largest that is not the whole {whole}"
        lines.append(("field", f"{size} {unit} at stride {stride}, {where}"))
    uncounted = [layer.name for layer in inspection.layers if layer.macs is None]
    if uncounted:
        lines.append(("uncounted", f"MACs of {named(uncounted)} are not known"))
    lines += [("note", note) for note in graph.notes]
    return lines


def warning_lines(warnings: Sequence[DesignWarning], *, every: bool = False) -> Iterator[tuple[str, str]]:
    """(style, line) of the warnings, those alike folded unless `every`; the style is "warning", "note" or "faint"."""
    folded = [Folded(w, ()) for w in warnings] if every else fold_warnings(warnings)
    for group in folded:
        first = group.first
        mark = "!" if first.severity == "warning" else "·"
        yield first.severity, f"{mark} {first.message}"
        yield "faint", f"    {first.evidence}"
        yield "faint", f"    → {first.remedy}"
        if group.others:
            yield "faint", f"    likewise {named(list(group.others))}"


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def inspection_text(inspection: Inspection) -> str:
    """The whole of it as plain text."""
    parts = [title(inspection), "", table_text(inspection.table()), ""]
    parts += [f"{name:<12}{value}" for name, value in ([] if inspection.error else totals(inspection))]
    if inspection.warnings:
        parts += ["", *(line for _, line in warning_lines(inspection.warnings))]
    if inspection.error:
        parts += ["", f"stopped: {inspection.error}"]
    return "\n".join(parts)


def inspection_renderable(inspection: Inspection) -> RenderableType:
    """The whole of it for rich."""
    from rich.console import Group
    from rich.text import Text

    styles = {"warning": "yellow", "note": "", "faint": "dim"}
    parts: list[RenderableType] = [Text(title(inspection), "bold"), Text(), rich_table(inspection.table()), Text()]
    parts += [Text(f"{name:<12}{value}") for name, value in ([] if inspection.error else totals(inspection))]
    if inspection.warnings:
        parts.append(Text())
        parts += [Text(line, styles[style]) for style, line in warning_lines(inspection.warnings)]
    if inspection.error:
        parts += [Text(), Text(f"stopped: {inspection.error}", "red")]
    return Group(*parts)
