"""Small pictures in a grid: tiles of equal size, a title for each, one colour scale with its range in numbers.

A tile is a map of numbers, a row of numbers (bars), or a picture in colour. Tiles that are compared share one scale,
whose colour bar is above them; a tile with a scale of its own has its range below its title.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from textwrap import wrap
from typing import Literal

import numpy as np

from convscope.arrays import Array, Booleans, Rgb
from convscope.report.charts import PlotBox
from convscope.report.colour_maps import (
    ColourScale,
    enlarged,
    is_constant,
    largest_cells,
    number_text,
    range_text,
    reduced,
)
from convscope.report.document import Figure
from convscope.report.png import jpeg_data_uri, png_data_uri
from convscope.report.svg import CHARACTER_WIDTH, Colour, Drawing, Element, element, group, line, paint, rectangle, text
from convscope.report.svg import text_width as width_of
from convscope.report.table import display_width

LISTED = 12  # tiles that a terminal lists
_GAP, _ROW_GAP = 12.0, 12.0
_TITLE, _TITLE_LINE, _LINE, _BAR = 24.0, 18.0, 15.0, 30.0  # heights
_STRIP = 180.0  # length of the colour bar
NOTE_SIZE = 10.5
"""Font size of the lines below a tile's title."""
_NARROWEST = 360.0
_LONG = 0.2  # height of a picture, as a share of its width, up to which it is long
_SHARP = 64  # pixels to a side up to which a photograph keeps every one


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of a grid.

    Args:
        values: numbers (H, W), or (N,) for bars; or a picture, uint8 (H, W, 1) or (H, W, 3).
        title: the line above it, such as "channel 12".
        note: further lines, such as a score.
        scale: a colour scale of its own; the grid's unless given.
        boxes: what to frame on it, in its own rows and columns.
        group: the heading of its row, such as a layer; tiles of another group start a new row.
        description: what a picture shows, in words, where its title does not say it.
        photograph: a picture that may lose a little: above 64 pixels it is held as a JPEG of twice the tile's size.
    """

    values: Array
    title: str = ""
    note: str = ""
    scale: ColourScale | None = None
    boxes: tuple[PlotBox, ...] = field(default=())
    group: str = ""
    description: str = ""
    photograph: bool = False

    @property
    def is_picture(self) -> bool:
        """Whether the values are colours rather than numbers."""
        return self.values.ndim == 3

    def lines(self, scales: Sequence[ColourScale]) -> tuple[str, ...]:
        """Return the lines above the tile; its range too where no colour bar has its scale, or it is constant."""
        lines = [self.title, *self.note.splitlines()]
        own = not scales if self.scale is None else self.scale not in scales
        if not self.is_picture and (own or _unusual(self.values)):
            lines += range_text(self.values).split("; ")
        return tuple(filter(None, lines))


def image_grid(
    tiles: Sequence[Tile],
    *,
    title: str,
    subtitle: str = "",
    scale: ColourScale | None = None,
    unit: str = "",
    bars: Sequence[tuple[ColourScale, str]] = (),
    columns: int = 6,
    tile_width: float = 112,
) -> Drawing:
    """Draw tiles in rows, in their order.

    Args:
        tiles: the pictures.
        title: with layer, channels and what is shown.
        subtitle: a line below the title.
        scale: of all tiles that have none of their own, drawn as a colour bar with its ends in numbers.
        unit: what the numbers of the colour bar are, such as "activation".
        bars: further scales that several tiles have, each with what its numbers are; drawn as colour bars too.
        columns: tiles in a row at most; one where all are long, as a line of text is, and then as wide as a row.
        tile_width: of each tile.
    """
    sharing = [tile for tile in tiles if not tile.is_picture and tile.scale is None] if scale is not None else []
    drawn_bars = [*([(scale, unit)] if scale is not None and any(t.values.ndim > 1 for t in sharing) else []), *bars]
    scales = [*([] if scale is None else [scale]), *(bar for bar, _ in bars)]
    across = max(1, min(columns, len(tiles)))
    if tiles and all(tile.values.ndim > 1 and _aspect(tile) <= _LONG for tile in tiles):
        tile_width, across = across * (tile_width + _GAP) - _GAP, 1
    high = tile_width * min(4.0, max((_aspect(tile) for tile in tiles), default=1.0))
    heading = max((len(tile.lines(scales)) for tile in tiles), default=0) * _LINE
    width = max(_NARROWEST, across * (tile_width + _GAP) - _GAP)
    titles, subtitles = _in_lines(title, 14, width), _in_lines(subtitle, 11, width)
    width = max(width, *(width_of(said, 14) for said in titles), *(width_of(said, 11) for said in subtitles), 0)
    parts: list[Element | None] = []
    y = _TITLE - _TITLE_LINE
    for said in titles:
        parts.append(text(0, y + 10, said, size=14, bold=True))
        y += _TITLE_LINE
    for said in subtitles:
        parts.append(text(0, y + 9, said, size=11, colour="muted"))
        y += _LINE
    y += 4 if subtitle else 0
    for bar, named in drawn_bars:
        parts.append(group(*colour_bar(bar, named), y=y + 2))
        y += _BAR
    if scale is not None and sharing and not drawn_bars:
        parts.append(text(0, y + 9, _heights_text(scale, unit), size=11, colour="muted"))
        y += _LINE + 4
    column, before = 0, ""
    for number, tile in enumerate(tiles):
        if number and (column == across or tile.group != before):
            column, y = 0, y + heading + high + _ROW_GAP
        if tile.group and (number == 0 or tile.group != before):
            parts.append(text(0, y + 13, tile.group, size=12, bold=True))
            y += 20
        before = tile.group
        drawn = _tile(tile, tile.lines(scales), scale, tile_width, high, heading)
        parts.append(group(*drawn, x=column * (tile_width + _GAP), y=y))
        column += 1
    y += heading + high + 2 if tiles else 0
    return Drawing.of(width, y, parts, title=title, description=grid_text(tiles, subtitle=subtitle) or "no tiles")


def grid_figure(tiles: Sequence[Tile], *, title: str, columns: int = 6, tile_width: float = 112) -> Figure:
    """Return a grid as a block of a document: drawn on a page, in a terminal the largest cells of each tile."""
    draw = partial(image_grid, tiles, title=title, columns=columns, tile_width=tile_width)
    return Figure(draw, "", grid_text(tiles))


def grid_text(tiles: Sequence[Tile], *, subtitle: str = "", listed: int = LISTED) -> str:
    """Return tiles in words: the range of each and where its largest cells are; of pictures the titles alone.

    >>> grid_text([Tile(np.array([[0.0, 2.0], [1.0, 0.0]]), "channel 3")])
    'channel 3: 0 to 2; largest 2 at (0, 1), 1 at (1, 0)'
    """
    numbers = sum(not tile.is_picture for tile in tiles)
    count = 5 if numbers == 1 else 3 if numbers <= 4 else 1
    lines = [subtitle] if subtitle else []
    lines += [_in_words(tile, count) for tile in tiles[:listed]]
    if len(tiles) > listed:
        lines.append(f"and {len(tiles) - listed:,} more")
    return "\n".join(filter(None, lines))


def colour_bar(scale: ColourScale, unit: str = "") -> list[Element]:
    """Return a strip of a scale's colours with its numbers below, 26 units high; the unit is beside it."""
    strip = element("image", {
        "href": png_data_uri(scale.strip(64)), "width": _STRIP, "height": 10, "preserveAspectRatio": "none",
    })  # fmt: skip
    frame = rectangle(0.5, 0.5, _STRIP - 1, 9, stroke="faint")
    ticks = scale.ticks
    if len(ticks) == 1:
        return [
            strip,
            frame,
            text(_STRIP / 2, 22, number_text(ticks[0]), size=NOTE_SIZE, anchor="middle", colour="muted"),
        ]
    labels = []
    for tick in ticks:
        share = (tick / 2 - scale.low / 2) / (scale.high / 2 - scale.low / 2)
        anchor: Literal["start", "middle", "end"] = "start" if share == 0 else "end" if share == 1 else "middle"
        labels.append(text(share * _STRIP, 22, number_text(tick), size=NOTE_SIZE, anchor=anchor, colour="muted"))
    named = [text(_STRIP + 8, 10, unit, size=11, colour="muted")] if unit else []
    return [strip, frame, *labels, *named]


def _tile(
    tile: Tile, lines: Sequence[str], shared: ColourScale | None, width: float, high: float, heading: float
) -> list[Element]:
    parts = []
    for number, content in enumerate(lines):
        y = number * _LINE + 11
        colour: Colour = "ink" if number == 0 and tile.title else "muted"
        shown = text(0, y, _fitting(content, width), size=11 if colour == "ink" else NOTE_SIZE, colour=colour)
        parts.append(shown if width_of(content, 11) <= width else _with_tip(shown, content))
    scale = tile.scale or shared or ColourScale.of(tile.values)
    if tile.values.ndim == 1:
        return [*parts, group(*_bars(tile.values, scale, width, high), y=heading)]
    pixels = _pixels(tile, scale, round(width))
    times = min(width / pixels.shape[1], high / pixels.shape[0])
    wide, tall = pixels.shape[1] * times, pixels.shape[0] * times
    tip = element("title", {}, _in_words(tile, 5))
    image = element("image", {
        "href": _held(tile, pixels, 2 * round(width)), "width": wide, "height": tall,
        "preserveAspectRatio": "none", "style": "image-rendering:pixelated" if times >= 1 else None,
    }, tip)  # fmt: skip
    frame = rectangle(0.5, 0.5, max(0.0, wide - 1), max(0.0, tall - 1), stroke="faint")
    boxes = [e for box in tile.boxes for e in _box(box, wide / tile.values.shape[1], tall / tile.values.shape[0])]
    return [*parts, group(image, frame, *boxes, x=(width - wide) / 2 if wide < width else 0, y=heading)]


def _pixels(tile: Tile, scale: ColourScale, least: int) -> Rgb:
    if not tile.is_picture:
        return scale.picture(tile.values, least=least)
    values = tile.values
    return enlarged(values.repeat(3, axis=2) if values.shape[2] == 1 else values, least)


def _held(tile: Tile, pixels: Rgb, most: int) -> str:
    """Return the pixels of a tile as the `data:` URI of a file."""
    if tile.photograph and max(tile.values.shape[:2]) > _SHARP:
        return jpeg_data_uri(reduced(pixels, most))
    return png_data_uri(pixels, palette=True)


def _bars(values: Array, scale: ColourScale, width: float, high: float) -> list[Element]:
    """Return numbers as bars from 0 up and down, on the scale's range."""
    low, top = min(0.0, scale.low), max(0.0, scale.high)
    span = (top - low) or 1.0
    zero = high * top / span
    step = width / max(1, values.size)
    pen = max(0.4, step * 0.8)
    parts = [rectangle(0.5, 0.5, width - 1, high - 1, stroke="faint")]
    signs: tuple[tuple[Colour, Booleans], ...] = (("orange", values > 0), ("blue", values < 0))
    for colour, chosen in signs:
        places = np.flatnonzero(chosen & np.isfinite(values))
        ends = high * (top - np.clip(np.asarray(values, np.float64)[places], low, top)) / span
        path = "".join(
            f"M{(place + 0.5) * step:.2f} {zero:.2f}V{end:.2f}" for place, end in zip(places, ends, strict=True)
        )
        if path:
            parts.append(element("path", paint("none", colour, width=pen) | {"d": path}))
    return [*parts, line(0, zero, width, zero, colour="muted", width=0.8)]


def _heights_text(scale: ColourScale, unit: str) -> str:
    """Return what the heights of bars are, in words."""
    ends = f"{number_text(min(0.0, scale.low))} to {number_text(max(0.0, scale.high))}"
    signs = "; orange is above 0, blue below" if scale.low < 0 else ""
    return f"height of the frame: {ends}{f', {unit}' if unit else ''}{signs}"


def _box(box: PlotBox, across: float, down: float) -> list[Element]:
    x, y = box.left * across, box.top * down
    wide, tall = (box.right - box.left) * across, (box.bottom - box.top) * down
    # Light under colour: the outline shows on any picture.
    return [
        rectangle(x, y, wide, tall, stroke="paper", stroke_width=3),
        rectangle(x, y, wide, tall, stroke=box.colour, stroke_width=1.5, tip=box.label),
    ]


def _aspect(tile: Tile) -> float:
    return 0.45 if tile.values.ndim == 1 else tile.values.shape[0] / max(1, tile.values.shape[1])


def _unusual(values: Array) -> bool:
    """Return whether a tile's colours alone do not say what it holds."""
    return is_constant(values) or not bool(np.isfinite(values).all())


def _in_words(tile: Tile, count: int) -> str:
    named = ", ".join(filter(None, (tile.group, tile.title, *tile.note.splitlines())))
    if tile.is_picture:
        return ": ".join(filter(None, (named, tile.description)))
    cells = [] if is_constant(tile.values) else largest_cells(tile.values, count)
    where = ", ".join(f"{number_text(v)} at {_place(place)}" for v, place in cells if v)
    found = f"{range_text(tile.values)}{f'; largest {where}' if where else ''}"
    return f"{named}: {found}" if named else found


def _place(place: tuple[int, ...]) -> str:
    return str(place[0]) if len(place) == 1 else f"({', '.join(map(str, place))})"


def _in_lines(content: str, size: float, width: float) -> list[str]:
    """Return a text broken between words into lines of at most this width; a longer word has a line of its own."""
    return wrap(content, max(1, int(width / (size * CHARACTER_WIDTH))), break_long_words=False, break_on_hyphens=False)


def _fitting(content: str, width: float) -> str:
    most = max(4, int(width / (NOTE_SIZE * CHARACTER_WIDTH)))
    if display_width(content) <= most:
        return content
    kept = content[: most - 1]
    while display_width(kept) >= most:
        kept = kept[:-1]
    return kept + "…"


def _with_tip(shown: Element, content: str) -> Element:
    return element(shown.tag, dict(shown.attributes), *shown.children, element("title", {}, content))
