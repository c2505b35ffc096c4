"""The ImageNet years: the challenge's best top-5 errors up to SENet, as records, table and chart.

Source: Russakovsky and others, "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015, table 8 (to 2014), and
the challenge's result pages for 2015 and 2017; figures beside them from the networks' papers. Errors are in percent of
images whose class is not among the top 5. No torch is imported here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from convscope.errors import ConvscopeError
from convscope.report.svg import Colour, Drawing, Element, line, rectangle, text, text_width
from convscope.report.table import Column, Table
from convscope.report.units import exact

# Russakovsky and others, section 6.4: one trained person on 1,500 test images.
HUMAN_TOP5_ERROR = 5.1


@dataclass(frozen=True, slots=True)
class QuotedError:
    """Another error quoted for the same year.

    Args:
        top5_error: top-5 error in percent of images.
        measured: what was measured: which images, and how many networks were averaged.
    """

    top5_error: float
    measured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One entrant of the challenge.

    Args:
        year: of the challenge.
        title: the network, or the method before networks.
        top5_error: top-5 error in percent of test images.
        measured: what was measured: which images, and how many networks were averaged.
        layers: weighted layers, or None without a network.
        idea: what was new.
        name: its name in the catalogue, or None where it isn't there.
        others: the other figures quoted for it.
    """

    year: int
    title: str
    top5_error: float
    measured: str
    layers: int | None
    idea: str
    name: str | None = None
    others: tuple[QuotedError, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the record as JSON-able values."""
        return asdict(self)


ENTRANTS = (
    Entrant(
        year=2010,
        title="shallow",
        top5_error=28.2,
        measured="test, the winner",
        layers=None,
        idea="hand-made features, coded and classified",
    ),
    Entrant(
        year=2011,
        title="shallow",
        top5_error=25.8,
        measured="test, the winner",
        layers=None,
        idea="better hand-made features",
    ),
    Entrant(
        year=2012,
        title="AlexNet",
        top5_error=16.4,
        measured="test, five networks averaged",
        layers=8,
        idea="a deep network wins: ReLU, dropout, two GPUs",
        name="alexnet-2012",
        others=(
            QuotedError(18.2, "validation, one network"),
            QuotedError(
                15.4, "validation, seven networks averaged, two of them pretrained on ImageNet's release of 2011"
            ),
            QuotedError(15.3, "test, the same seven: the winning entry"),
            QuotedError(26.2, "test, the runner-up of the same year, without a network"),
        ),
    ),
    Entrant(
        year=2013,
        title="Clarifai",
        top5_error=11.7,
        measured="test, the entry of a company that grew from ZFNet",
        layers=8,
        idea="ZFNet: AlexNet with smaller first windows and more maps",
        name="zfnet",
        others=(QuotedError(14.8, "test, six networks averaged, in ZFNet's paper"),),
    ),
    Entrant(
        year=2014,
        title="VGG",
        top5_error=7.3,
        measured="test, seven networks averaged",
        layers=19,
        idea="nothing but 3x3 windows, and more of them",
        name="vgg19",
        others=(QuotedError(8.0, "validation, one network at one scale"),),
    ),
    Entrant(
        year=2014,
        title="GoogLeNet",
        top5_error=6.7,
        measured="test, seven networks averaged",
        layers=22,
        idea="windows of several sizes side by side",
        name="googlenet-2014",
    ),
    Entrant(
        year=2015,
        title="ResNet",
        top5_error=3.57,
        measured="test, six networks averaged",
        layers=152,
        idea="a block learns the change, not the value",
        name="resnet152",
        others=(QuotedError(4.49, "validation, one network"),),
    ),
    Entrant(
        year=2017,
        title="SENet",
        top5_error=2.3,
        measured="test, several networks averaged",
        layers=154,
        idea="every block weighs its channels",
        name="senet154",
        others=(QuotedError(4.47, "validation, one network, one crop"),),
    ),
)


def error_of(top5_error: float) -> tuple[Entrant, str]:
    """Return the entrant that a quoted error belongs to, and what was measured.

    Raises:
        ConvscopeError: no figure of the timeline is this one.

    >>> error_of(15.3)[1]
    'test, the same seven: the winning entry'
    """
    for entrant in ENTRANTS:
        for figure in (QuotedError(entrant.top5_error, entrant.measured), *entrant.others):
            if figure.top5_error == top5_error:
                return entrant, figure.measured
    raise ConvscopeError(f"no error of {top5_error:g} % is quoted for the ImageNet years: ENTRANTS lists them")


def other_figures() -> list[tuple[str, str]]:
    """Return the other figures quoted for each entrant: (entrant and year, the figures).

    >>> other_figures()[1]
    ('Clarifai, 2013', "14.8 % (test, six networks averaged, in ZFNet's paper)")
    """
    return [
        (
            f"{entrant.title}, {entrant.year}",
            "; ".join(f"{figure.top5_error:g} % ({figure.measured})" for figure in entrant.others),
        )
        for entrant in ENTRANTS
        if entrant.others
    ]


def timeline_table(parameters: dict[str, int]) -> Table:
    """Return the years as a table; `parameters` has each network's count by its catalogue name."""
    rows = [
        (
            str(entrant.year),
            entrant.title,
            f"{entrant.top5_error:g} %",
            entrant.measured,
            "" if entrant.layers is None else str(entrant.layers),
            exact(parameters[entrant.name]) if entrant.name else "",
            entrant.idea,
            entrant.name or "",
        )
        for entrant in ENTRANTS
    ]
    columns = (
        Column("year"),
        Column("network"),
        Column("top-5 error", numeric=True),
        Column("measured on"),
        Column("layers", numeric=True),
        Column("parameters", numeric=True),
        Column("idea"),
        Column("here"),
    )
    return Table.of(columns, rows, title="ImageNet's challenge: best top-5 error on the test set")


def timeline_drawing(*, width: float = 760, height: float = 420) -> Drawing:
    """Draw a bar chart of the errors by year, with the number of layers and the error of a trained person."""
    top, bottom, left = 70.0, height - 74.0, 34.0
    step = (width - left - 16) / len(ENTRANTS)
    scale = (bottom - top) / 30  # the axis ends at 30 %
    title = "ImageNet's challenge: errors fell as networks grew deep"
    parts: list[Element] = [
        text(0, 18, title, size=15, bold=True),
        text(0, 38, "Images of the test set whose class is not among five guesses", size=12, colour="muted"),
    ]
    for percent in (0, 10, 20, 30):
        y = bottom - percent * scale
        parts.append(line(left, y, width, y, colour="faint"))
        parts.append(text(left - 6, y + 4, f"{percent} %", size=11, anchor="end", colour="muted"))
    human = bottom - HUMAN_TOP5_ERROR * scale
    parts.append(line(left, human, width, human, colour="orange", width=1.5))
    parts.append(
        text(width, human - 5, f"a trained person, {HUMAN_TOP5_ERROR:g} %", size=11, anchor="end", colour="orange")
    )
    for place, entrant in enumerate(ENTRANTS):
        x, tall = left + place * step + step * 0.14, entrant.top5_error * scale
        middle, wide = left + (place + 0.5) * step, step * 0.72
        colour: Colour = "grey" if entrant.layers is None else "blue"
        tip = f"{entrant.title} ({entrant.year}): {entrant.idea}; {entrant.measured}"
        parts.append(rectangle(x, bottom - tall, wide, tall, fill=colour, radius=2, tip=tip))
        label = f"{entrant.top5_error:g} %"
        behind = text_width(label, 12) + 4
        parts.append(rectangle(middle - behind / 2, bottom - tall - 17, behind, 14, fill="paper"))
        parts.append(text(middle, bottom - tall - 6, label, size=12, anchor="middle", bold=True))
        parts.append(text(middle, bottom + 18, entrant.title, size=12, anchor="middle"))
        parts.append(text(middle, bottom + 34, str(entrant.year), size=11, anchor="middle", colour="muted"))
        layers = "no network" if entrant.layers is None else f"{entrant.layers} layers"
        parts.append(text(middle, bottom + 50, layers, size=11, anchor="middle", colour="muted"))
    description = "; ".join(f"{e.year} {e.title} {e.top5_error:g} %" for e in ENTRANTS)
    return Drawing.of(width, height, parts, title=title, description=description)
