"""A small, typed builder of SVG: everything is escaped, and every colour works on light and on dark paper.

A colour is a name of the palette. It is written twice: as an attribute, for programs without CSS variables, and
as a class, whose variable follows the reader's light or dark setting. A drawing carries a title and a description.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from convscope.api.public import checked
from convscope.errors import ConvscopeError
from convscope.files.regular import refused_as, write_text
from convscope.report.printable import printable, printable_lines
from convscope.report.short_repr import ShortRepr
from convscope.report.table import display_width

Colour = Literal[
    "none", "ink", "muted", "faint", "paper", "panel",
    "blue", "orange", "green", "pink", "yellow", "sky", "violet", "grey",
]  # fmt: skip

# Hues after Okabe and Ito's colour-blind-safe set; the dark ones are lighter, for the same contrast on dark paper.
LIGHT: Mapping[str, str] = {
    "ink": "#1d2330", "muted": "#5b6472", "faint": "#d5dae1", "paper": "#ffffff", "panel": "#f5f6f8",
    "blue": "#0a6ab0", "orange": "#c94f08", "green": "#00835f", "pink": "#b8578f", "yellow": "#b98600",
    "sky": "#3797d1", "violet": "#6a51b8", "grey": "#7a828e",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "ink": "#e6e9ee", "muted": "#a2abb8", "faint": "#3a424e", "paper": "#14181e", "panel": "#1d232b",
    "blue": "#5ab0ee", "orange": "#ff8f4d", "green": "#3ec79c", "pink": "#e796c4", "yellow": "#ecbf4a",
    "sky": "#8fd0f5", "violet": "#aa98f0", "grey": "#98a1ad",
}  # fmt: skip
SERIES: tuple[Colour, ...] = ("blue", "orange", "green", "pink", "yellow", "sky", "violet", "grey")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# The strongest fill under text in ink: their contrast is 4.5 and more, for every colour, on light and on dark paper.
FILL_UNDER_INK = 0.55
# Average advance of a character, as a share of the font size: to leave room for labels.
CHARACTER_WIDTH = 0.59


def _variables(palette: Mapping[str, str]) -> str:
    return "".join(f"--cs-{name}:{value};" for name, value in palette.items())


STYLE = (
    f".cs{{color-scheme:light dark;{_variables(LIGHT)}--cs-font:{FONT}}}"
    f"@media screen and (prefers-color-scheme:dark){{.cs{{{_variables(DARK)}}}}}"
    # A notebook's theme need not be the system's: Jupyter's, Visual Studio Code's, Colab's.
    f":is(body[data-jp-theme-light='true'],body.vscode-light,html[theme='light']) .cs{{{_variables(LIGHT)}}}"
    f":is(body[data-jp-theme-light='false'],body.vscode-dark,html[theme='dark']) .cs{{{_variables(DARK)}}}"
    + "".join(f".cs-f-{name}{{fill:var(--cs-{name})}}.cs-s-{name}{{stroke:var(--cs-{name})}}" for name in LIGHT)
    + ".cs text{font-family:var(--cs-font);font-variant-numeric:tabular-nums}"
)
"""The style sheet that drawings need; a page includes it once."""

Attribute = str | int | float | None


@dataclass(frozen=True, slots=True, repr=False)
class Element(ShortRepr):
    """One SVG element; children that are text are escaped when it is written."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple[Element | str, ...] = ()

    def markup(self) -> str:
        """Return the element as SVG text."""
        opened = self.tag + "".join(f' {name}="{_escaped(value)}"' for name, value in self.attributes)
        if not self.children:
            return f"<{opened}/>"
        inner = "".join(c.markup() if isinstance(c, Element) else _escaped(c) for c in self.children)
        return f"<{opened}>{inner}</{self.tag}>"


def element(tag: str, attributes: Mapping[str, Attribute] | None = None, *children: Element | str) -> Element:
    """Return an element; attributes that are None are left out, and numbers are written short.

    >>> element("circle", {"cx": 1.0, "cy": 2.3456, "id": None}).markup()
    '<circle cx="1" cy="2.35"/>'
    >>> element("text", {"x": 0}, "a < b & c").markup()
    '<text x="0">a &lt; b &amp; c</text>'
    """
    written = tuple((name, _written(value)) for name, value in (attributes or {}).items() if value is not None)
    return Element(tag, written, children)


def paint(fill: Colour = "none", stroke: Colour = "none", *, width: float | None = None) -> dict[str, Attribute]:
    """Attributes that fill and stroke with colours of the palette."""
    classes = [f"cs-f-{fill}"] * (fill != "none") + [f"cs-s-{stroke}"] * (stroke != "none")
    attributes: dict[str, Attribute] = {"fill": LIGHT.get(fill, "none")}
    if stroke != "none":
        attributes |= {"stroke": LIGHT[stroke], "stroke-width": width}
    if classes:
        attributes["class"] = " ".join(classes)
    return attributes


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float = 12,
    anchor: Literal["start", "middle", "end"] = "start",
    colour: Colour = "ink",
    bold: bool = False,
    rotate: float = 0,
    halo: bool = False,
) -> Element:
    """Return a line of text with its baseline at (x, y), line breaks escaped; a halo keeps it legible over lines."""
    attributes: dict[str, Attribute] = {"x": x, "y": y, "font-size": size, "text-anchor": anchor, "font-family": FONT}
    attributes |= paint(colour)
    if bold:
        attributes["font-weight"] = 600
    if halo:
        attributes |= paint(colour, "paper", width=3) | {"paint-order": "stroke", "stroke-linejoin": "round"}
    if rotate:
        attributes["transform"] = f"rotate({_written(rotate)} {_written(x)} {_written(y)})"
    return element("text", attributes, printable(content))


def line(x1: float, y1: float, x2: float, y2: float, *, colour: Colour = "faint", width: float = 1) -> Element:
    """Return a straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2} | paint("none", colour, width=width))


def rectangle(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: Colour = "none",
    stroke: Colour = "none",
    stroke_width: float = 1,
    radius: float = 0,
    opacity: float | None = None,
    tip: str = "",
) -> Element:
    """Return a rectangle; `opacity` is that of its fill, `tip` what a pointer over it shows."""
    attributes: dict[str, Attribute] = {"x": x, "y": y, "width": width, "height": height, "rx": radius or None}
    attributes |= paint(fill, stroke, width=stroke_width) | {"fill-opacity": opacity}
    return element("rect", attributes, *([element("title", {}, tip)] if tip else []))


def group(*children: Element | None, x: float = 0, y: float = 0) -> Element:
    """Elements moved together; None among them is left out."""
    moved = f"translate({_written(x)} {_written(y)})" if x or y else None
    return element("g", {"transform": moved}, *(c for c in children if c is not None))


def text_width(content: str, size: float = 12) -> float:
    """About how wide a text will be, to leave room for it; a wide character, as of Chinese, is two of the others."""
    return display_width(printable_lines(content)) * size * CHARACTER_WIDTH


@dataclass(frozen=True, slots=True, repr=False)
class Drawing(ShortRepr):
    """A finished drawing, `width` by `height` units, with its title and a description for screen readers.

    A notebook shows it; `save` writes it as a file.
    """

    width: float
    height: float
    title: str
    description: str
    children: tuple[Element, ...]

    @classmethod
    def of(
        cls, width: float, height: float, children: Iterable[Element | None], *, title: str, description: str
    ) -> Drawing:
        """Return a drawing of these elements; None among them is left out."""
        return cls(width, height, title, description, tuple(c for c in children if c is not None))

    def headline(self) -> str:
        """Return the title and the size."""
        return f"{self.title}: {self.width:.0f}×{self.height:.0f}"

    def _repr_svg_(self) -> str:
        # A notebook cuts off what is wider than its cell.
        return self.document().replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)

    @checked
    def save(self, path: str | Path) -> Path:
        """Write the drawing as an SVG file, and return its path.

        Raises:
            ConvscopeError: a name that does not end in .svg, or a file that can't be written.
        """
        file = Path(path)
        if file.suffix.lower() != ".svg" or str(path).endswith(("/", os.sep)):  # which is a folder's name
            raise ConvscopeError(f"{path}: a figure is saved as SVG, so let the name end in .svg")
        with refused_as(ConvscopeError, f"{file} can't be written"):
            write_text(file, self.document())
        return file

    def markup(self) -> str:
        """Return the drawing for a page that has `STYLE`."""
        return self._root().markup()

    def document(self) -> str:
        """Return the drawing as a file of its own, with its paper."""
        style = element("style", {}, STYLE)
        paper = rectangle(0, 0, self.width, self.height, fill="paper")
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + self._root(style, paper).markup() + "\n"

    def _root(self, *before: Element) -> Element:
        attributes: dict[str, Attribute] = {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "cs",
            "role": "img",
            "viewBox": f"0 0 {_written(self.width)} {_written(self.height)}",
            "width": self.width,
            "height": self.height,
        }
        named = (element("title", {}, self.title), element("desc", {}, self.description))
        return element("svg", attributes, *named, *before, *self.children)


def below(*drawings: Drawing, title: str, gap: float = 20) -> Drawing:
    """Return drawings as one, each below the one before."""
    tops = [sum(d.height + gap for d in drawings[:place]) for place in range(len(drawings))]
    return Drawing(
        max(d.width for d in drawings),
        tops[-1] + drawings[-1].height,
        title,
        " ".join(f"{d.title}: {d.description}." for d in drawings),
        tuple(group(*d.children, y=top) for d, top in zip(drawings, tops, strict=True)),
    )


def beside(*drawings: Drawing, title: str, gap: float = 28) -> Drawing:
    """Return drawings as one, each to the right of the one before."""
    lefts = [sum(d.width + gap for d in drawings[:place]) for place in range(len(drawings))]
    return Drawing(
        lefts[-1] + drawings[-1].width,
        max(d.height for d in drawings),
        title,
        " ".join(f"{d.title}: {d.description}." for d in drawings),
        tuple(group(*d.children, x=left) for d, left in zip(drawings, lefts, strict=True)),
    )


def _written(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return f"{round(float(value), 2):g}" if abs(value) < 1e5 else str(round(value))


def _escaped(text: str) -> str:
    return escape(printable_lines(text))
