"""The explained cell as HTML: the worked example drawn, the box on the input, and the way down to its numbers."""

from __future__ import annotations

import numpy as np

from convscope.interpret.explanation.input_drawing import input_drawing
from convscope.interpret.explanation.patch_drawing import LARGEST_GRID, drawn_products, drawn_window
from convscope.interpret.explanation.patch_text import ink, left_out
from convscope.interpret.explanation.record import LISTED, Contributor, Explanation
from convscope.interpret.explanation.text import box_text, place, signed
from convscope.report import html
from convscope.report.html import Html
from convscope.report.table import Column, Table
from convscope.report.units import plural, shape

GRIDS = 3
DOWN = 6  # steps down that a page shows unless told otherwise


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def explanation_page(explanation: Explanation, *, depth: int | None = DOWN) -> str:
    """A whole page: the cell, its largest contributor in turn, and so on, `depth` times (None: to a pixel)."""
    title = f"{explanation.layer}, {place(explanation.position)}"
    lead = (
        f"{explanation.lens.graph.name}: where the number {ink(explanation.torch_value)} comes from. "
        "Every figure is computed from the network's own weights and this input."
    )
    chain = explanation.to_pixels(depth)[1:]
    blocks = [*explanation_blocks(explanation), *([_way_down(chain)] if chain else [])]
    return html.page(
        title, *blocks, lead=lead, footer="Made by convscope. Numbers are computed in float64 from torch's inputs."
    )


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def explanation_blocks(explanation: Explanation) -> list[Html]:
    """The explanation as blocks of a page or of a notebook's cell."""
    facts = [
        ("value", ink(explanation.torch_value)),
        ("operation", explanation.operation),
        ("layer's output", shape(explanation.shape[1:])),
        ("difference from torch", f"{explanation.difference:.0e}".replace("-", "−")),
    ]
    blocks = [html.facts(facts), *(html.callout("note", note) for note in explanation.lens.notes)]
    drawn = input_drawing(explanation)
    if drawn is not None:
        blocks.append(html.figure(drawn, f"Made from {box_text(explanation)}."))
    return [*blocks, html.section("Worked out", *_worked(explanation), *_steps(explanation))]


def _worked(explanation: Explanation) -> list[Html]:
    operands = explanation.worked.operands
    if explanation.kind == "products":
        return _products(explanation) if operands[0].numbers.ndim > 1 else _row(explanation)
    if explanation.kind in ("choice", "mean", "sum"):
        return _window(explanation)
    if explanation.kind == "softmax":
        return _scores(explanation)
    return _alone(explanation)


def _products(explanation: Explanation) -> list[Html]:
    operands = explanation.worked.operands[0]
    assert operands.weights is not None
    channels = explanation.by_channel()
    index_of = {channel: index for index, channel in enumerate(operands.channels)}
    source = explanation.label_of(operands)
    many = len(channels) > 1
    blocks = [html.paragraph(
        f"The patch of {source}, {plural(len(channels), 'channel')} deep, times the kernel, number by number"
        + (f"; the {min(GRIDS, len(channels))} channels that add the most are drawn." if many else ".")
    )]  # fmt: skip
    for channel, added in channels[:GRIDS]:
        drawings = drawn_products(operands, index_of[channel], f"channel {channel}", f"adds {signed(added)}")
        blocks += [html.figure(drawing) for drawing in drawings]
        blocks += map(html.paragraph, left_out(len(operands.numbers[0])) if operands.numbers.ndim == 4 else [])
    if many:
        blocks.append(html.table(_channel_table(channels)))
    return blocks


def _channel_table(channels: list[tuple[int, float]]) -> Table:
    rows = [[f"channel {channel}", signed(added)] for channel, added in channels[:LISTED]]
    others = channels[LISTED:]
    if others:
        rows.append([f"the other {plural(len(others), 'channel')}", signed(sum(added for _, added in others))])
    return Table.of([Column("input"), Column("adds", numeric=True)], rows)


def _row(explanation: Explanation) -> list[Html]:
    operands = explanation.worked.operands[0]
    found = explanation.contributors()
    rows = [[place(one.position), ink(one.number), ink(one.weight or 0.0), signed(one.contribution)] for one in found]
    rest = float(operands.contributions.sum()) - sum(one.contribution for one in found)
    if operands.numbers.size > len(found):
        rows.append([f"the other {operands.numbers.size - len(found):,}", "", "", signed(rest)])
    columns = [Column("from"), *(Column(name, numeric=True) for name in ("number", "weight", "product"))]
    return [
        html.paragraph(
            f"{plural(operands.numbers.size, 'number')} of {explanation.label_of(operands)}, each times its weight."
        ),
        html.table(Table.of(columns, rows)),
    ]


def _window(explanation: Explanation) -> list[Html]:
    operands, winner = explanation.worked.operands[0], explanation.worked.winner
    source = explanation.label_of(operands)
    numbers = operands.numbers
    if max(numbers.shape[-2:]) > LARGEST_GRID or (numbers.ndim == 3 and len(numbers) > 1):
        return [html.paragraph(f"{numbers.size:,} numbers of {source}, from {ink(float(numbers.min()))} to "
                               f"{ink(float(numbers.max()))}.")]  # fmt: skip
    what = "all of them count alike" if winner is None else "the winner is framed"
    drawings = drawn_window(operands, winner, f"window of {source}", what)
    return [*map(html.figure, drawings), html.paragraph(f"{what.capitalize()}.")]


def _scores(explanation: Explanation) -> list[Html]:
    operands = explanation.worked.operands[0]
    largest = np.argsort(-operands.numbers, kind="stable")[:LISTED]
    rows = [[place(operands.position((int(i),))), ink(float(operands.numbers[i]))] for i in largest]
    count, source = operands.numbers.size, explanation.label_of(operands)
    return [
        html.paragraph(f"One of {plural(count, 'score')} of {source}; the largest first."),
        html.table(Table.of([Column("from"), Column("score", numeric=True)], rows)),
    ]


def _alone(explanation: Explanation) -> list[Html]:
    operands = explanation.worked.operands
    if not operands:
        return [html.paragraph("It lies in the padding: no number of the input went into it.")]
    letters = "ab" if len(operands) > 1 else "x"
    rows = []
    for letter, one in zip(letters * 9, operands, strict=False):
        where = place(one.position(())) if one.positions else ""
        remark = one.role if " " in one.role else ""
        rows.append([letter, ink(float(one.numbers)), explanation.label_of(one), where, remark])
    columns = [Column(""), Column("number", numeric=True), Column("from"), Column("where"), Column("")]
    return [html.table(Table.of(columns, rows))]


def _steps(explanation: Explanation) -> list[Html]:
    rows = [[line.text, f"{line.number:.7g}"] for line in explanation.worked.lines]
    rows.append(["torch has", f"{explanation.torch_value:.7g}"])
    rows += [[f"then {line.text}", f"{line.number:.7g}"] for line in explanation.following]
    rows = [
        [text.replace(" -", " −") if i == 0 else text.replace("-", "−") for i, text in enumerate(row)] for row in rows
    ]
    return [html.table(Table.of([Column("step"), Column("gives", numeric=True)], rows))]


def _way_down(chain: list[Explanation]) -> Html:
    """The largest contributor of each cell, one inside the other."""
    inner = Html("")
    for one in reversed(chain):
        summary = f"{one.layer} · {place(one.position)} = {ink(one.torch_value)} · {one.operation}"
        blocks = [*_worked(one), *_steps(one)]
        pixel = _pixel(one)
        inner = html.details(summary, *blocks, *([html.paragraph(pixel)] if pixel else []), *([inner] if inner else []))
    return html.section(
        "Further down",
        html.paragraph("The number that counted most, explained in turn; open one after the other to go down."),
        inner,
    )


def _pixel(explanation: Explanation) -> str:
    found: list[Contributor] = explanation.contributors(1)
    if not found or explanation.lens.graph.values[found[0].value].producer is not None:
        return ""
    one = found[0]
    reached = "the pixels are" if explanation.lens.pixels is not None else "the input is"
    return f"Here {reached} reached: {one.label} {place(one.position)} is {ink(one.number)}."
