"""An inspection as a page: the figures, the warnings, the network and its receptive field drawn, the table."""

from __future__ import annotations

from collections.abc import Iterator

from convscope.graph.diagnose.diagnose import fold_warnings
from convscope.graph.figures import widest_field
from convscope.interpret.inspection.field_drawing import field_drawing
from convscope.interpret.inspection.layer_table import field_size
from convscope.interpret.inspection.network_drawing import network_drawing
from convscope.interpret.inspection.record import Inspection
from convscope.interpret.inspection.text import named, title
from convscope.report import html, units
from convscope.report.charts import bar_chart
from convscope.report.html import Html
from convscope.report.svg import Drawing

_BARS = 12


def inspection_page(inspection: Inspection) -> str:
    """A self-contained page."""
    lead = f"{title(inspection)}: {units.plural(len(inspection.layers), 'layer')}, worked out without running it."
    return html.page(inspection.graph.name, *_blocks(inspection), lead=lead, footer="Made by convscope inspect.")


def inspection_fragment(inspection: Inspection) -> str:
    """The same for a notebook's cell."""
    return html.fragment(html.paragraph(title(inspection)), *_blocks(inspection))


def _blocks(inspection: Inspection) -> Iterator[Html]:
    if inspection.error:
        yield html.callout("error", f"The forward pass stopped: {inspection.error}", "What follows ran before it.")
    yield html.facts(_facts(inspection))
    yield from _remarks(inspection)
    drawing = network_drawing(inspection)
    yield html.section("Network", html.figure(drawing, "Boxes are as high as their maps and as wide as their channels. "
                       "Point at one for its figures."))  # fmt: skip
    growth = field_drawing(inspection)
    if growth is not None:
        yield html.section("Receptive field", html.figure(growth, "Which pixels the middle position of a map depends "
                           "on, as if the image had no borders."))  # fmt: skip
    yield html.section("Where the cost is", *_costs(inspection))
    yield html.section("Layers", html.table(inspection.table(wide=True)))


def _facts(inspection: Inspection) -> list[tuple[str, str]]:
    weights = sum(r.spec.bytes for r in inspection.graph.parameters if not r.buffer)
    facts = [
        ("parameters", units.count(inspection.parameters)),
        ("MACs for one sample", units.count(inspection.macs)),
        ("weights", units.byte_size(weights)),
        ("activations", units.byte_size(inspection.activation_bytes)),
    ]
    widest = widest_field(inspection.graph, inspection.layers)
    if widest is not None and inspection.source is not None:
        facts.append(("receptive field", field_size(widest.field_along(inspection.source))))
    return facts


def _remarks(inspection: Inspection) -> Iterator[Html]:
    for group in fold_warnings(inspection.warnings):
        first = group.first
        more = (f"Likewise {named(list(group.others))}.",) if group.others else ()
        yield html.callout(first.severity, first.message, first.evidence, f"→ {first.remedy}", *more)
    uncounted = [layer.name for layer in inspection.layers if layer.macs is None]
    if uncounted:
        yield html.callout("note", f"The MACs of {named(uncounted)} are not known, and not in the sum.")
    for note in inspection.graph.notes:
        yield html.callout("note", note)


def _costs(inspection: Inspection) -> Iterator[Html]:
    lines = [line for line in inspection.lines(1) if line.role != "heading"]
    for what, values, total in (
        ("Parameters by module", [(line.name, line.parameters) for line in lines], inspection.parameters),
        ("MACs by module", [(line.name, (line.macs or 0) // inspection.batch) for line in lines], inspection.macs),
    ):
        present = [(name, value) for name, value in values if value]
        if len(present) > 1:
            yield html.figure(_bars(what, present, total))


def _bars(what: str, values: list[tuple[str, int]], total: int) -> Drawing:
    """The largest few, in the network's order, with their shares."""
    threshold = sorted((value for _, value in values), reverse=True)[:_BARS][-1]
    shown = [(name, value) for name, value in values if value >= threshold][:_BARS]
    rest = sum(value for _, value in values) - sum(value for _, value in shown)
    if rest:
        shown.append(("the others", rest))
    labels = [f"{units.count(value)}, {units.percent(value / total)}" for _, value in shown]
    return bar_chart([(name, float(value)) for name, value in shown], title=what, labels=labels)
