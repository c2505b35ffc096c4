"""Pages and drawings: nothing unescaped, nothing loaded, everything well formed."""

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from convscope.interpret.explanation.patch_drawing import matrix
from convscope.report import charts, progress
from convscope.report.document import Document, Figure
from convscope.report.html import document_page
from convscope.report.intervals import IntervalRow, interval_plot
from convscope.report.png import png_bytes
from convscope.report.svg import DARK, LIGHT, Drawing, text_width
from convscope.report.table import Column, Table
from convscope.report.ticks import nice_ticks

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
        interval_plot([IntervalRow(NASTY, [1.0, 2.0], 1.5, None, None, NASTY)], title=NASTY, x_label=NASTY),
        interval_plot([], title="none", x_label="x"),
        charts.picture(image[:1].repeat(300, axis=1), title="a row", description="of 1,200 pixels"),
        charts.picture(image, title=NASTY, description=NASTY, boxes=[charts.PlotBox(0, 0, 2, 2, NASTY)]),
    ]


@pytest.mark.parametrize("drawing", drawings())
def test_a_drawing_is_well_formed_and_described(drawing: Drawing):
    root = ET.fromstring(drawing.document())
    tags = [child.tag.rpartition("}")[2] for child in root]
    assert tags[:2] == ["title", "desc"] and root[0].text and root[1].text
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert "nan" not in re.sub(r"<(title|desc|text)[^>]*>[^<]*", "", drawing.markup()).lower()
    assert not re.search(r'(width|height)="-', drawing.markup())


LONG = "runs/photographs-of-the-summer-resnet18-2: the weights' gradients"


@pytest.mark.parametrize("name", [LONG, 3 * LONG, 20 * "\u753b\u50cf"])
def test_long_names_stay_within_their_chart(name: str):
    for drawing in (
        charts.line_chart([charts.Curve(name, [1, 2], [1, 2])], title=name, x_label="x", y_label="y", width=440),
        charts.bar_chart([(name, 1.0)], title=name),
        charts.confusion_matrix(np.eye(1, dtype=int), [name], title=name),
    ):
        assert drawing.title == name
        for found in ET.fromstring(drawing.document()).iter("{http://www.w3.org/2000/svg}text"):
            if found.get("transform"):
                continue
            start, wide = float(found.get("x", 0)), text_width(found.text or "", float(found.get("font-size", 12)))
            start -= {"end": wide, "middle": wide / 2}.get(found.get("text-anchor", "start"), 0.0)
            assert start >= -1 and start + wide <= drawing.width + 1, found.text


def test_no_two_curves_look_alike():
    curves = [charts.Curve(str(i), [1, 2], [i, i]) for i in range(20)]
    drawn = charts.line_chart(curves, title="t", x_label="x", y_label="y").markup()
    looks = re.findall(r'<polyline [^>]*stroke="(#\w+)"[^>]*?(stroke-dasharray="[^"]*"|/>)', drawn)
    assert len(looks) == 40 and len(set(looks)) == 20


def test_every_colour_has_a_form_for_dark_paper():
    assert LIGHT.keys() == DARK.keys()


def contrast(one: list[float], other: list[float]) -> float:
    """WCAG's contrast ratio of two sRGB colours."""

    def luminance(colour: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


SHARES = np.diag(range(1, 200, 8)) + np.roll(np.diag(range(200, 1, -8)), 1, axis=1)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    "children",
    [
        charts.confusion_matrix(SHARES, [str(n) for n in range(25)], title="").children,
        (matrix(np.linspace(-1, 1, 40).reshape(8, 5))[0],),
        drawings()[-1].children,
    ],
    ids=["confusion matrix", "patch", "box"],
)
def test_text_on_a_colour_has_a_contrast_of_four_and_a_half(palette, children):
    def colour(element) -> list[float]:
        [name] = re.findall(r"cs-f-(\w+)", element.get("class"))
        return [int(palette[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]

    paper = [int(palette["paper"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    seen = 0
    for inner in ET.fromstring("<g>" + "".join(child.markup() for child in children) + "</g>").iter("g"):
        below = paper
        for each in inner:
            if each.tag == "rect" and "cs-f-" in each.get("class", ""):
                opacity = float(each.get("fill-opacity", 1))
                below = [opacity * c + (1 - opacity) * p for c, p in zip(colour(each), paper, strict=True)]
            if each.tag == "text" and below != paper:
                assert contrast(colour(each), below) >= 4.5
                seen += 1
    assert seen


def test_a_drawing_becomes_smaller_on_a_narrow_screen_and_names_its_width():
    narrow = charts.bar_chart([("a", 1.0)], title="narrow", width=500)
    page = document_page(Document("one", (Figure(narrow),)))
    assert f'<figure style="--cs-width:{narrow.width:.0f}px">' in page and 'type="radio"' not in page
    assert "max-width:max(100%,var(--cs-width,100%)*.55)" in page


def test_each_wide_drawing_on_a_page_has_a_choice_of_its_own():
    wide = charts.bar_chart([("a" * 300, 1.0)], title="wide", width=2000)
    page = document_page(Document("twice", (Figure(wide), Figure(wide))))
    forms = re.findall(r'<form method="dialog">(.*?)</form>', page)
    assert len(forms) == 2 and page.count('type="radio"') == 6
    for form in forms:
        assert form.count('name="size"') == 3 and form.count(" checked") == 1


def test_what_stands_on_a_page_is_escaped_and_loads_nothing():
    table = Table.of([Column(NASTY, note=NASTY)], [(NASTY,)], title=NASTY)
    page = document_page(Document(NASTY, (table, *(Figure(drawing, NASTY) for drawing in drawings()))))
    assert "<script" not in page and "alert('x')</" not in page
    assert "default-src 'none'" in page
    loads = re.findall(r'(?:src|href)="([^"]{5})', page) + re.findall(r"url\(|@import", page)
    assert set(loads) == {"data:"}


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4), (1, 1)])
def test_png_gives_back_the_pixels(shape: tuple[int, ...], quick: bool):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(png_bytes(image, quick=quick))))
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


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_an_axis_of_equal_values_ends_where_values_must(value: float):
    rows = [IntervalRow("members", [value, value], value, value, value, "all the same")]
    drawn = interval_plot(rows, title="accuracy", x_label="%", limits=(0, 100)).markup()
    ticks = [float(tick) for tick in re.findall(r">([-\d.]+)</text>", drawn)]
    assert len(ticks) > 1 and min(ticks) >= 0 and max(ticks) <= 100 and value in ticks


@pytest.mark.parametrize("values", [[2e26], [2e26, 2e26], [0.0, 3e-13], [0.1, 0.1 + 1e-16], [0.0, 1e300], [-5.0, -5]])
def test_huge_tiny_and_equal_values_have_an_axis(values: list[float]):
    drawn = charts.line_chart(
        [charts.Curve("loss", range(len(values)), values)], title="t", x_label="epoch", y_label="loss"
    )
    assert "nan" not in drawn.markup() and "inf" not in drawn.markup()
    ticks = nice_ticks(min(values), max(values))
    assert ticks[0] <= min(values) and max(values) <= ticks[-1] and len(set(ticks)) == len(ticks) > 1
