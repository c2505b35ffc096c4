"""Documents in a terminal: plain lines for files and pipes, styled ones on a screen; no name in them steers it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

from convscope.report.document import (
    Block,
    Callout,
    Code,
    Columns,
    Document,
    Facts,
    Figure,
    Heading,
    Paragraph,
    Section,
    Severity,
    WriteIn,
)
from convscope.report.printable import printable_lines
from convscope.report.table import Table, display_width, print_table, rich_table, table_text

if TYPE_CHECKING:
    from rich.console import RenderableType

NAME_WIDTH = 12  # of the names of facts, unless one is longer
INDENT = "  "
BLANK_LINE = "_" * 24

_Style = Literal["", "bold", "dim", "yellow", "red"]
_CALLOUTS: dict[Severity, tuple[str, _Style]] = {
    "note": ("· ", ""), "warning": ("! ", "yellow"), "error": ("error: ", "red"),
}  # fmt: skip


class _Line(NamedTuple):
    text: str
    style: _Style = ""


_Part = _Line | Table
_BLANK = _Line("")


def document_text(document: Document) -> str:
    """Return a document as plain lines."""
    return "\n".join(table_text(part) if isinstance(part, Table) else part.text for part in _parts(document))


def rich_document(document: Document) -> RenderableType:
    """Return a document as a rich renderable."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(rich_table(p) if isinstance(p, Table) else Text(p.text, p.style) for p in _parts(document)))


def print_document(document: Document, *, file: TextIO | None = None) -> None:
    """Print a document: with rich on a terminal, as plain lines elsewhere."""
    stream = file or sys.stdout
    if not stream.isatty():
        print(document_text(document), file=stream)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    for part in _parts(document):
        if isinstance(part, Table):
            print_table(part, file=stream)
        else:
            console.print(Text(part.text, part.style), soft_wrap=True)


def _parts(document: Document) -> list[_Part]:
    """Return the lines and tables with a blank line between the blocks; what is summed up comes last."""
    top = list(_lines(document.title, "bold"))
    body = _set([*document.blocks, *document.summary], sole=True)
    return [*top, *([_BLANK, *body] if body else [])]


def _set(blocks: Sequence[Block], *, sole: bool = False) -> list[_Part]:
    """Return the blocks with blank lines between them, but none between paragraphs, and none between callouts.

    With `sole`, a section that is the only one with text goes without its heading.
    """
    shown = [(block, own) for block in blocks if (own := list(_block_parts(block)))]
    headed = sum(isinstance(block, Section) for block, _ in shown) > 1 or not sole
    parts: list[_Part] = []
    before: Block | None = None
    for block, own in shown:
        if isinstance(block, Section) and block.title and headed:
            own = [*_lines(block.title, "bold"), _BLANK, *own]
        together = isinstance(block, Paragraph | Callout) and type(block) is type(before)
        parts += own if before is None or together else [_BLANK, *own]
        before = block
    return parts


def _block_parts(block: Block) -> Iterator[_Part]:
    """Yield the lines and tables of a block; pictures and details have none."""
    match block:
        case Facts(facts):
            width = max([NAME_WIDTH, *(display_width(fact.name) + 1 for fact in facts)])
            for fact in facts:
                yield from _lines(f"{fact.name}{' ' * (width - display_width(fact.name))}{fact.detail or fact.text}")
        case Heading(text):
            yield from _lines(text, "bold")
        case Paragraph(text):
            yield from _lines(text)
        case Figure(text=Table() as table) | (Table() as table):
            if table.rows:
                yield table.narrow()
        case Code(text) | Figure(text=str(text)):
            yield from _lines(text, indent=INDENT) if text else []
        case WriteIn(label, lines):
            yield from _lines("\n".join([f"{label}: {BLANK_LINE}", *[BLANK_LINE] * (lines - 1)]))
        case Callout(severity, text, more):
            mark, style = _CALLOUTS[severity]
            yield from _lines(mark + text, style)
            for line in more:
                yield from _lines(line, "dim", indent=2 * INDENT)
        case Columns(blocks) | Section(blocks=blocks, page_only=False):
            yield from _set(blocks)


def _lines(text: str, style: _Style = "", *, indent: str = "") -> Iterator[_Line]:
    for line in printable_lines(text).split("\n"):
        yield _Line((indent + line).rstrip() if indent else line, style)
