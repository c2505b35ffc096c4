"""One Document, three writers: nothing is lost in any, and no name in it steers its reader."""

import io
import json
import re
from collections.abc import Iterator

import numpy as np
import pytest

from convscope.report.charts import bar_chart
from convscope.report.document import (
    Block,
    Callout,
    Code,
    Columns,
    Details,
    Document,
    Fact,
    Facts,
    Figure,
    Gallery,
    Heading,
    Image,
    Paragraph,
    Section,
    WriteIn,
)
from convscope.report.documented import Documented
from convscope.report.html import document_fragment, document_page
from convscope.report.table import Column, Table
from convscope.report.terminal import document_text, print_document, rich_document

NASTY = "<script>alert('x')</script> & \"q\" \x1b[2J\u202e"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
PIXELS = np.zeros((2, 2, 3), np.uint8)


def document(name: str) -> Document:
    """A document with one block of each kind, and `name` in all of their texts."""
    table = Table.of([Column(name, note=name), Column("n", numeric=True)], [(name, ("1.5 k", 1500))], title=name)
    drawing = bar_chart([(name, 1.0)], title=name)
    image = Image(PIXELS, name, name, tip=name)
    return Document(
        name,
        (
            Section(name, (Heading(name), Paragraph(name), table)),
            Section("pictures", (Columns((Figure(drawing, name, name), Figure(drawing))), Gallery((image,)), image)),
            Details(name, (Code(name),)),
            Code(name),
            WriteIn(name, 2),
        ),
        lead=name,
        summary=(Facts((Fact(name, name, 7, name),)), Callout("warning", name, (name,))),
        footer=name,
    )


def test_names_steer_neither_page_nor_terminal_nor_json() -> None:
    made = document(NASTY)
    for text in (document_page(made), document_fragment(made)):
        assert "<script" not in text and "alert('x')</" not in text and not STEERING.search(text)
        loads = re.findall(r'(?:src|href)="([^"]{5})', text) + re.findall(r"url\(|@import", text)
        assert set(loads) == {"data:"}
    assert "default-src 'none'" in document_page(made)
    assert not STEERING.search(document_text(made))
    # JSON holds names exactly.
    assert json.loads(json.dumps(made.to_dict()))["title"] == NASTY


def test_every_text_is_on_the_page_and_in_json() -> None:
    made = document("name")
    kinds = {"section", "heading", "paragraph", "table", "columns", "figure", "gallery", "image", "details", "code",
             "facts", "callout", "writein"}  # fmt: skip
    assert set(_types(made.to_dict())) == kinds
    page = document_page(made)
    assert all(tag in page for tag in ("<h1>", "<h2>", "<h3>", "<p>", "<table>", "<svg", "<img", "<pre>", "<details>",
                                     'class="write"'))  # fmt: skip


def _types(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [value["type"]] if "type" in value else []
        for inner in value.values():
            yield from _types(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _types(inner)


def test_json_has_values_where_they_are_known() -> None:
    facts = Facts((Fact("loss", "0.5000", 0.5), Fact("rate", "none"), Fact("worst", "inf", float("inf"))))
    table = Table.of([Column("layer"), Column("MACs", numeric=True)], [("fc", ("1.5 k", 1500)), ("drop", ("", None))])
    blocks = Document("d", (facts, table)).to_dict()["blocks"]
    assert isinstance(blocks, list)
    assert blocks[0] == {"type": "facts", "facts": [{"name": "loss", "value": 0.5}, {"name": "rate", "value": "none"},
                                                   {"name": "worst", "value": "inf"}]}  # fmt: skip
    assert isinstance(blocks[1], dict) and blocks[1]["rows"] == [["fc", 1500], ["drop", None]]


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ((Paragraph("one"), Paragraph("two")), "d\n\none\ntwo"),
        ((Callout("note", "one"), Callout("warning", "two", ("why",))), "d\n\n· one\n! two\n    why"),
        ((Facts((Fact("MACs", "1 k", 1000, "1,000 of one sample"),)),), "d\n\nMACs        1,000 of one sample"),
        ((Code("convscope size 7"), Paragraph("p")), "d\n\n  convscope size 7\n\np"),
        # A section without text has no heading, and the only one with text needs none.
        ((Section("s", (Paragraph("one"),)), Section("pictures", (Gallery(()),))), "d\n\none"),
        ((Section("s", (Paragraph("one"),)), Section("t", (Paragraph("two"),))), "d\n\ns\n\none\n\nt\n\ntwo"),
        ((), "d"),
    ],
)  # fmt: skip
def test_how_blocks_are_set_in_a_terminal(blocks: tuple[Block, ...], text: str) -> None:
    assert document_text(Document("d", blocks)) == text


def test_a_summary_is_first_on_a_page_and_last_in_a_terminal() -> None:
    made = Document("d", (Paragraph("body"),), summary=(Callout("note", "sum"),))
    assert document_text(made).endswith("body\n\n· sum")
    page = document_page(made)
    assert page.index("sum</p>") < page.index("body</p>")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_screen_shows_what_a_pipe_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    made = document("name [red]x[/red]")
    screen, pipe = Terminal(), io.StringIO()
    print_document(made, file=screen)
    print_document(made, file=pipe)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert pipe.getvalue() == document_text(made) + "\n"
    # rich draws its own rule below a header.
    assert re.sub(r"[\s─-]", "", plain) == re.sub(r"[\s─-]", "", pipe.getvalue())
    assert rich_document(made) is not None


def test_a_record_shows_its_document() -> None:
    class Found(Documented):
        def headline(self) -> str:
            return "one"

        def document(self) -> Document:
            return Document("found", (Paragraph("<one>"),))

        def to_dict(self) -> dict[str, int]:
            return {"found": 1}

    assert str(Found()) == "found\n\n<one>"
    assert "<p>&lt;one&gt;</p>" in Found()._repr_html_() and "<p>&lt;one&gt;</p>" in Found().to_html()
