"""Sections of the page on what a network learned: the pictures first, the numbers below them."""

from __future__ import annotations

from convscope.interpret.features.layer_patches import LayerPatches
from convscope.interpret.features.top_patches import TopPatches
from convscope.report.document import Block, Callout, Details, Facts, Figure, Heading, Section
from convscope.report.documented import Documented
from convscope.report.table import Column, Row, Table
from convscope.report.units import shape
from convscope.runs.layer_norms import spread

_LAYERS, _CHANNELS = 6, 3  # whose patches a page draws, and channels of each
_LONG = 16  # rows of a table from which on it is folded


def part_section(title: str, found: Documented) -> Section:
    """Return a part with its remarks, its figures and its numbers; long tables are folded, sections in it headings."""
    if isinstance(found, TopPatches):
        return Section(title, tuple(_patches(found)))
    blocks = found.document().blocks
    inner = [block for block in blocks if isinstance(block, Section)]
    first = [block for block in blocks if isinstance(block, Callout | Facts)]
    figures = [block for block in blocks if isinstance(block, Figure)]
    rest = [block for block in blocks if not isinstance(block, Section | Callout | Facts | Figure)]
    below = [each for section in inner for each in (Heading(section.title), *section.blocks)]
    return Section(title, (*first, *figures, *map(_folded, rest), *map(_folded, below)))


def shown_layers(found: TopPatches) -> list[str]:
    """Return the layers whose patches are drawn: a few, from the first to the last."""
    return spread(found.layers, _LAYERS)


def _patches(found: TopPatches) -> list[Block]:
    """Return the patches of a few layers, the first channels of each, and where every one of them is."""
    document = found.document()
    first: list[Block] = [block for block in document.blocks if isinstance(block, Callout | Facts)]
    layers = [found.of_layer(name, per_page=_CHANNELS) for name in shown_layers(found)]
    drawn = [block for layer in layers for block in layer.document().blocks]
    tables = [block for block in document.blocks if isinstance(block, Table)]
    places = Details("Which images these are", tuple(_places(layer) for layer in layers))
    return [*first, *drawn, *(_folded(table) for table in tables), places]


def _places(layer: LayerPatches) -> Table:
    """Return the images of a layer's patches, with their values and the cells that have them."""
    columns = (Column("channel", numeric=True), Column("image"), Column("value", numeric=True), Column("cell"))
    rows = [
        Row.of([str(found["channel"]), patch["image"], f"{patch['value']:.3g}", shape(patch["place"]) or "none"])
        for found in layer.to_dict()["channels"]
        for patch in found["patches"]
    ]
    return Table(columns, tuple(rows), title=layer.maxima.layer.name)


def _folded(block: Block) -> Block:
    """Return a long table as one that opens on a click."""
    if isinstance(block, Table) and len(block.rows) > _LONG:
        return Details(f"{block.title or 'All numbers'}: {len(block.rows):,} rows", (block,))
    return block
