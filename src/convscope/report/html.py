"""Documents as HTML: one self-contained page, with no script and no network, in light and dark, that also prints well.

Text becomes HTML only through `escaped`, and only what is `Html` can be put on a page; so nothing is left unescaped.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import NewType

from convscope.report.document import (
    Block,
    Callout,
    Code,
    Columns,
    Details,
    Document,
    Facts,
    Figure,
    Gallery,
    Heading,
    Image,
    Paragraph,
    Section,
    WriteIn,
)
from convscope.report.png import jpeg_data_uri, png_data_uri
from convscope.report.printable import printable_lines
from convscope.report.svg import STYLE, Drawing
from convscope.report.table import Table

LARGE_TYPE = 14  # characters of a figure in large type; what is longer is set as text
# Below it the tables of a JPEG take more bytes than a PNG.
SMALL_SIDE = 40
_SMALL = ' class="small"'
PAGE_WIDTH = 912  # pixels of a page's column, as in page.css

Html = NewType("Html", str)
"""Markup that is safe to put on a page."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


@cache
def page_style() -> str:
    """Return the style sheet of a page: that of its drawings, and `page.css`."""
    return STYLE + resources.files("convscope.report").joinpath("page.css").read_text(encoding="utf-8")


def escaped(text: str) -> Html:
    """Text as HTML.

    >>> escaped('<script>"&"')
    '&lt;script&gt;&quot;&amp;&quot;'
    """
    return Html(escape(printable_lines(text), quote=True))


def document_page(document: Document) -> str:
    """Return a whole page: a file that opens anywhere, loads nothing and runs nothing."""
    return _page(document.title, *_content(document), lead=document.lead, footer=document.footer)


def sheets_page(title: str, sheets: Sequence[Document]) -> str:
    """Return a page of several documents, each of which begins a new sheet of paper where it is printed."""
    articles = (
        Html(
            f'<article class="sheet"><h1>{escaped(sheet.title)}</h1>\n'
            f'<p class="lead">{escaped(sheet.lead)}</p>\n{_join(*_content(sheet))}\n'
            f"<footer>{escaped(sheet.footer)}</footer></article>"
        )
        for sheet in sheets
    )
    return _whole(title, _join(*articles))


@cache
def _fragment_style() -> tuple[str, str]:
    """Return the class of a notebook's results and their style sheet, whose every rule is limited to that class.

    The class names the content of the style sheet, so results that different versions have left in one notebook keep
    their own looks.
    """
    name = f"cs-{zlib.crc32(page_style().encode()):08x}"
    return name, re.sub(r"\.cs(?=[ {,.>])", f".{name}", page_style())


def document_fragment(document: Document) -> str:
    """Return a document for a notebook's cell, with the style that it needs."""
    lead = [Html(f'<p class="lead">{escaped(document.lead)}</p>')] if document.lead else []
    return _fragment(Html(f"<p><b>{escaped(document.title)}</b></p>"), *lead, *_content(document))


def _content(document: Document) -> list[Html]:
    return [block_html(block) for block in (*document.summary, *document.blocks)]


def block_html(block: Block) -> Html:
    """Return one block as HTML."""
    match block:
        case Paragraph(text):
            return Html(f"<p>{escaped(text)}</p>")
        case Heading(text):
            return Html(f"<h3>{escaped(text)}</h3>")
        case Code(text):
            return Html(f"<pre>{escaped(text)}</pre>")
        case Facts(pairs):
            inner = "".join(
                f"<div{_note(fact.detail)}><dt>{escaped(fact.name)}</dt>"
                f"<dd{_SMALL * (len(fact.text) > LARGE_TYPE)}>{escaped(fact.text)}</dd></div>"
                for fact in pairs
            )
            return Html(f'<dl class="facts">{inner}</dl>')
        case WriteIn(label, room):
            return Html(f'<p class="write" style="--cs-lines:{room}">{escaped(label)}</p>')
        case Callout(severity, text, more):
            lines = "".join(f'<p class="why">{escaped(line)}</p>' for line in more)
            return Html(f'<div class="call {severity}" role="note"><p>{escaped(text)}</p>{lines}</div>')
        case Figure(caption=caption):
            return _figure(block.drawing, caption)
        case Image():
            return _image(block)
        case Gallery(images):
            return Html(f'<div class="gallery">{_all(images)}</div>')
        case Columns(blocks):
            return Html(f'<div class="columns">{_all(blocks)}</div>')
        case Section(title, blocks):
            return Html(f"<section><h2>{escaped(title)}</h2>\n{_all(blocks)}\n</section>")
        case Details(summary, blocks):
            return Html(f"<details><summary>{escaped(summary)}</summary>\n{_all(blocks)}\n</details>")
        case Table():
            return _table(block)


def _all(blocks: Sequence[Block]) -> Html:
    return _join(*map(block_html, blocks))


def _figure(drawing: Drawing, caption: str) -> Html:
    """Return a drawing at its own size, or a little smaller where the screen is; beyond that it scrolls sideways.

    One that is wider than the page has a choice of sizes.
    """
    markup = drawing.markup()
    sizes, room = "", f' style="--cs-width:{drawing.width:.0f}px"'
    scroll = '<div class="scroll">'
    if drawing.width > PAGE_WIDTH:
        choices = (
            f'<label><input type="radio" name="size" class="{css}"{" checked" * (css == "whole")}> {words}</label>'
            for css, words in (("fit", "as wide as the page"), ("whole", "100 %"), ("double", "200 %"))
        )
        room = f' class="wide"{room}'
        # Without a pointer it is scrolled once it has the focus.
        scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(drawing.title)}">'
        # Radio buttons are one group by name and form: a form for each, so that a drawing may be on a page twice.
        # A form of a dialog sends nothing, and loads nothing, where there is no dialog around it.
        sizes = f'<div class="sizes" role="radiogroup" aria-label="size of the drawing">{"".join(choices)}</div>'
        sizes = f'<form method="dialog">{sizes}</form>'
    return Html(f"<figure{room}>{sizes}{scroll}{markup}</div>{_caption(caption)}</figure>")


def _image(block: Image) -> Html:
    height, across = block.pixels.shape[:2]
    css = ' class="sharp"' if max(height, across) < 160 else ""
    size = f' width="{block.width}"' if block.width is not None else ""
    lazy = ' loading="lazy" decoding="async"' * block.lossy
    attributes = f'alt="{escaped(block.alt)}"{css}{size}{lazy}{_note(block.tip)}'
    source = jpeg_data_uri(block.pixels) if block.lossy and min(height, across) >= SMALL_SIDE else None
    return Html(
        f'<figure><img src="{source or png_data_uri(block.pixels)}" {attributes}>{_caption(block.caption)}</figure>'
    )


def _join(*blocks: Html) -> Html:
    """Return the blocks one after another."""
    return Html("\n".join(blocks))


def _table(content: Table) -> Html:
    """Return a table; wide ones scroll sideways inside the page."""
    classes = [' class="n"' if column.numeric else "" for column in content.columns]
    head = "".join(
        f'<th scope="col"{css}{_note(c.note)}>{escaped(c.header)}</th>'
        for c, css in zip(content.columns, classes, strict=True)
    )
    rows = []
    for row in content.rows:
        cells = "".join(f"<td{css}>{escaped(_indented(c))}</td>" for c, css in zip(row.cells, classes, strict=True))
        rows.append(f'<tr class="{row.role}">{cells}</tr>' if row.role != "body" else f"<tr>{cells}</tr>")
    caption = f"<caption>{escaped(content.title)}</caption>" if content.title else ""
    body = "\n".join(rows)
    name = escaped(content.title or "table")
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table>'
        f"{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _page(title: str, *blocks: Html, lead: str = "", footer: str = "") -> str:
    """Return a whole page: a file that opens anywhere, loads nothing and runs nothing."""
    intro = f'<p class="lead">{escaped(lead)}</p>' if lead else ""
    foot = f"<footer>{escaped(footer)}</footer>" if footer else ""
    return _whole(title, Html(f"<h1>{escaped(title)}</h1>\n{intro}\n{_join(*blocks)}\n{foot}"))


def _whole(title: str, content: Html) -> str:
    """Return the markup of a page around its content."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>{page_style()}</style>
</head>
<body class="cs">
<main>
{content}
</main>
</body>
</html>
"""


def _fragment(*blocks: Html) -> str:
    """Return the blocks for a notebook's cell, with the style that they need."""
    name, style = _fragment_style()
    return f'<div class="{name}"><style>{style}</style>\n{_join(*blocks)}\n</div>'


def _indented(cell: str) -> str:
    """Leading blanks as figure spaces: in a proportional face a blank is too narrow, and no line breaks at these."""
    text = cell.lstrip(" ")
    return "\u2007" * (len(cell) - len(text)) + text


def _caption(text: str) -> str:
    return f"<figcaption>{escaped(text)}</figcaption>" if text else ""


def _note(text: str) -> str:
    return f' title="{escaped(text)}"' if text else ""
