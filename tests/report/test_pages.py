"""Pages and drawings: nothing unescaped, nothing loaded, everything well formed."""

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from convscope.report import charts, progress
from convscope.report.document import Document, Figure
from convscope.report.html import document_page
from convscope.report.png import png_bytes
from convscope.report.svg import DARK, LIGHT, Drawing
from convscope.report.table import Column, Table

NASTY = "<script>alert('x')</script> & \"quotes\""


def drawings() -> list[Drawing]:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    return [
        charts.line_chart(
            [charts.Curve(NASTY, [1, 2, 3], [1.0, None, float("nan")])], title=NASTY, x_label="x", y_label="y"
        ),
        charts.line_chart([], title="nothing yet", x_label="epoch", y_label="loss"),
        charts.line_chart([charts.Curve("flat", [1, 2], [3.0, 3.0])], title="flat", x_label="x", y_label="y"),
        charts.bar_chart([(NASTY, 3.0), ("zero", 0.0)], title=NASTY),
        charts.bar_chart([], title="none"),
        charts.confusion_matrix(np.array([[3, 1], [0, 0]]), [NASTY, "b"], title=NASTY),
        charts.confusion_matrix(np.eye(120, dtype=int), [f"class {i}" for i in range(120)], title="many"),
        charts.picture(image, title=NASTY, description=NASTY, boxes=[charts.PlotBox(0, 0, 2, 2, NASTY)]),
    ]


@pytest.mark.parametrize("drawing", drawings())
def test_a_drawing_is_well_formed_and_described(drawing: Drawing):
    root = ET.fromstring(drawing.document())
    tags = [child.tag.rpartition("}")[2] for child in root]
    assert tags[:2] == ["title", "desc"] and root[0].text and root[1].text
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert "nan" not in re.sub(r"<(title|desc|text)[^>]*>[^<]*", "", drawing.markup()).lower()


def test_every_colour_has_a_form_for_dark_paper():
    assert LIGHT.keys() == DARK.keys()


def test_what_stands_on_a_page_is_escaped_and_loads_nothing():
    table = Table.of([Column(NASTY, note=NASTY)], [(NASTY,)], title=NASTY)
    page = document_page(Document(NASTY, (table, *(Figure(drawing, NASTY) for drawing in drawings()))))
    assert "<script" not in page and "alert('x')</" not in page
    assert "default-src 'none'" in page
    loads = re.findall(r'(?:src|href)="([^"]{5})', page) + re.findall(r"url\(|@import", page)
    assert set(loads) == {"data:"}


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4), (1, 1)])
def test_png_gives_back_the_pixels(shape: tuple[int, ...]):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(png_bytes(image))))
    assert np.array_equal(decoded.reshape(image.shape), image)


def test_progress_off_a_terminal_is_silent_when_work_is_quick():
    stream = io.StringIO()
    with progress.shown_progress(file=stream) as report:
        for done in range(1, 101):
            report(done, 100, "decoding")
    assert stream.getvalue() == ""


def test_progress_on_a_terminal_leaves_nothing_behind_that_breaks():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with progress.shown_progress(file=Terminal()) as report:
        report(1, 0, "waiting")
        report(1, 2, "decoding")
        report(2, 2, "decoding")
