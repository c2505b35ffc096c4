"""Documents: what is reported, as blocks, which are written for a terminal, as an HTML page, or as JSON.

A record of results makes one Document; `report.documented` gives it `str()`, a notebook form and a page from it. Texts
hold names as they are: each writer (`report.terminal`, `report.html`, `Document.to_dict`) escapes them for its reader.

>>> found = Document("lenet5", (Facts((Fact("parameters", "61.7 k", 61_706),)), Paragraph("No warnings.")))
>>> found.to_dict()["blocks"][0]
{'type': 'facts', 'facts': [{'name': 'parameters', 'value': 61706}]}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from convscope.report.json_values import in_json
from convscope.report.svg import Drawing
from convscope.report.table import Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from convscope.files.checked import Json

_drawn: ContextVar[dict[Callable[[], Drawing], Drawing] | None] = ContextVar("_drawn", default=None)

Severity = Literal["note", "warning", "error"]


class Fact(NamedTuple):
    """A named figure.

    Args:
        name: what it is.
        text: the figure with its unit.
        value: the number itself, for JSON; by default the text.
        detail: a longer form of the text: a terminal prints it instead, a page shows it as a tool-tip.
    """

    name: str
    text: str
    value: Json = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Figures, each with its name: in large type on a page, a line each in a terminal."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or more."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Lines in a fixed-width face: a command to type, a list of files."""

    text: str


@dataclass(frozen=True, slots=True)
class Callout:
    """A highlighted remark; `more` are its further lines, of less weight."""

    severity: Severity
    text: str
    more: tuple[str, ...] = ()


@contextmanager
def drawn_once() -> Iterator[None]:
    """While inside, draw each figure once, however many pages and files it is written into.

    >>> def draw():
    ...     print("drawn")
    ...     return Drawing(40, 20, "empty", "nothing", ())
    >>> with drawn_once():
    ...     Figure(draw).drawing is Figure(draw).drawing
    drawn
    True
    """
    before = _drawn.set({})
    try:
        yield
    finally:
        _drawn.reset(before)


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its caption.

    Args:
        source: the drawing, or a function that makes it: a terminal needs none.
        caption: the line below it.
        text: what a terminal shows in its place, text or a table; nothing where it is empty.
    """

    source: Drawing | Callable[[], Drawing]
    caption: str = ""
    text: str | Table = ""

    @property
    def drawing(self) -> Drawing:
        """The drawing."""
        if isinstance(self.source, Drawing):
            return self.source
        drawn = _drawn.get()
        if drawn is None:
            return self.source()
        if self.source not in drawn:
            drawn[self.source] = self.source()
        return drawn[self.source]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A picture, uint8 of shape (H, W), (H, W, 3) or (H, W, 4), for pages only.

    Args:
        pixels: the picture.
        alt: what it shows, in words.
        caption: the line below it.
        width: on the page, in CSS pixels; the picture's own unless given.
        tip: what a pointer over it shows.
        lossy: for many photographs: a page holds it as a JPEG, a quarter of the size, and draws it when it is in view.
    """

    pixels: npt.NDArray[np.uint8]
    alt: str
    caption: str = ""
    width: int | None = None
    tip: str = ""
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small pictures side by side, for pages only."""

    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks beside one another where there is room, else below one another."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading. A terminal leaves out those without text, and those that are for pages only."""

    title: str
    blocks: tuple[Block, ...]
    page_only: bool = False


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that open on a click, for pages only."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class WriteIn:
    """Room to write by hand, on paper: a label, and a number of lines."""

    label: str
    lines: int = 1


Block = (
    Callout
    | Code
    | Columns
    | Details
    | Facts
    | Figure
    | Gallery
    | Heading
    | Image
    | Paragraph
    | Section
    | Table
    | WriteIn
)


@dataclass(frozen=True, slots=True)
class Document:
    """A title and blocks.

    Args:
        title: what it is about; the title of a page, the first line in a terminal.
        blocks: in the order in which they are read.
        lead: a sentence below the title of a page.
        summary: figures and remarks that are read first: above the blocks on a page, below them in a terminal, whose
            last lines are the ones in view.
        footer: the last line of a page.
    """

    title: str
    blocks: tuple[Block, ...]
    lead: str = ""
    summary: tuple[Block, ...] = ()
    footer: str = ""

    def to_dict(self) -> dict[str, Json]:
        """Return the document as JSON's types: the values of figures and cells where it has them, else their texts."""
        return {
            "title": self.title,
            "lead": self.lead,
            "summary": [_block_to_dict(block) for block in self.summary],
            "blocks": [_block_to_dict(block) for block in self.blocks],
        }


def dated_footer() -> str:
    """Return the last line of a page on something that was done: by which version, and when."""
    from convscope import __version__

    return f"convscope {__version__}, {time.strftime('%Y-%m-%d %H:%M')}. This page is one file and needs no network."


def sentence(text: str) -> str:
    """Return a message as a sentence: with a period, and a capital letter unless it begins with a name.

    >>> sentence("no images of cat"), sentence("table: images by id"), sentence("labels.csv: not read")
    ('No images of cat.', 'Table: images by id.', 'labels.csv: not read.')
    """
    first, *_ = text.split(maxsplit=1) or [""]
    # A word has no sign or digit in it, as names of files, settings and columns have.
    a_word = first.rstrip(",:;").replace("-", "").isalpha()
    return f"{text[:1].upper() if a_word else text[:1]}{text[1:]}."


def _block_to_dict(block: Block) -> dict[str, Json]:
    kind = type(block).__name__.lower()
    match block:
        case Facts(facts):
            found: dict[str, Json] = {"facts": [_fact_to_dict(fact) for fact in facts]}
        case Heading(text) | Paragraph(text) | Code(text):
            found = {"text": text}
        case WriteIn(label, lines):
            found = {"label": label, "lines": lines}
        case Callout(severity, text, more):
            found = {"severity": severity, "text": text, "more": list(more)}
        case Figure(caption=caption):
            drawing = block.drawing
            found = {"title": drawing.title, "description": drawing.description, "caption": caption,
                     "svg": drawing.markup()}  # fmt: skip
        case Image():
            found = {"alt": block.alt, "caption": block.caption}
        case Gallery(images):
            found = {"images": [_block_to_dict(image) for image in images]}
        case Section(title, blocks) | Details(title, blocks):
            found = {"title": title, "blocks": [_block_to_dict(inner) for inner in blocks]}
        case Columns(blocks):
            found = {"blocks": [_block_to_dict(inner) for inner in blocks]}
        case Table():
            found = {
                "title": block.title,
                "columns": [column.header for column in block.columns],
                "rows": [[in_json(cell) for cell in row.values or row.cells] for row in block.rows],
            }
    return {"type": kind, **found}


def _fact_to_dict(fact: Fact) -> Json:
    return {"name": fact.name, "value": fact.text if fact.value is None else in_json(fact.value)}
