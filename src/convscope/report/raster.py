"""A Drawing as pixels: what `report.svg` draws, painted with Pillow, for programs that show no SVG.

Shapes are painted at twice the asked scale and averaged, texts with a face of the machine or Pillow's own, on light
paper.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convscope.arrays import Rgb
from convscope.report.png import png_bytes
from convscope.report.svg import LIGHT, Drawing, Element

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Corner = tuple[float, float]

_FINER = 2  # shapes are painted larger by this factor
_MOST_PIXELS = 40_000_000
_CURVE_STEPS = 12
# Faces with the signs and alphabets of class names, where a machine has them.
_FACES = ("DejaVuSans.ttf", "Arial.ttf", "LiberationSans-Regular.ttf", "Helvetica.ttc")
_PLAINER = str.maketrans({"×": "x", "−": "-", "…": "...", "·": ".", "→": ">", "±": "+-", "µ": "u", "≤": "<", "≥": ">"})
_DATA = "data:image/"


class _Place(NamedTuple):
    """Where a drawing's units are on the canvas: shifted, then enlarged."""

    x: float
    y: float
    scale: float

    def at(self, x: float, y: float) -> Corner:
        return (self.x + x) * self.scale, (self.y + y) * self.scale

    def moved(self, x: float, y: float) -> _Place:
        return _Place(self.x + x, self.y + y, self.scale)


def drawing_pixels(drawing: Drawing, *, scale: float = 2.0) -> Rgb:
    """Return a drawing as pixels (H, W, 3), `scale` of them for each unit; fewer where that would be more than 40 M.

    >>> drawing_pixels(Drawing(40, 20, "empty", "nothing", ()), scale=1).shape
    (20, 40, 3)
    """
    from PIL import Image, ImageDraw

    finest = math.sqrt(_MOST_PIXELS / max(1.0, drawing.width * drawing.height)) / _FINER
    scale = min(scale, finest)
    size = tuple(max(1, math.ceil(side * scale)) for side in (drawing.width, drawing.height))
    canvas = Image.new("RGB", (size[0] * _FINER, size[1] * _FINER), LIGHT["paper"])
    place = _Place(0, 0, scale * _FINER)
    for child in drawing.children:
        _paint(child, canvas, ImageDraw.Draw(canvas), place)
    return np.asarray(canvas.reduce(_FINER), np.uint8)


def drawing_png(drawing: Drawing, *, scale: float = 2.0) -> bytes:
    """Return a drawing as a PNG file."""
    return png_bytes(drawing_pixels(drawing, scale=scale), quick=True)


def _paint(element: Element, canvas: Image.Image, ink: ImageDraw.ImageDraw, place: _Place) -> None:
    given = dict(element.attributes)
    if element.tag == "g":
        moved = _moved(place, given.get("transform", ""))
        for child in element.children:
            if isinstance(child, Element):
                _paint(child, canvas, ink, moved)
    elif element.tag == "text":
        _text(element, given, canvas, place)
    elif element.tag == "image":
        _image(given, canvas, place)
    elif element.tag == "rect":
        _rectangle(given, canvas, place)
    elif element.tag in ("line", "polyline", "polygon", "path", "circle"):
        for points, closed in _lines(element.tag, given):
            # Pillow counts from the middles of pixels, a drawing from their edges.
            corners = [(x - 0.5, y - 0.5) for x, y in (place.at(*point) for point in points)]
            _outline(corners, given, canvas, place.scale, closed=closed)


def _moved(place: _Place, transform: str) -> _Place:
    found = re.fullmatch(r"translate\(([-\d.e+]+)[ ,]([-\d.e+]+)\)", transform)
    return place.moved(float(found[1]), float(found[2])) if found else place


def _number(given: Mapping[str, str], name: str, otherwise: float = 0.0) -> float:
    return float(given.get(name, otherwise))


def _colour(given: Mapping[str, str], name: str) -> tuple[int, int, int] | None:
    found = given.get(name, "none")
    return None if found == "none" else (int(found[1:3], 16), int(found[3:5], 16), int(found[5:7], 16))


def _rectangle(given: Mapping[str, str], canvas: Image.Image, place: _Place) -> None:
    from PIL import Image, ImageDraw

    left, top = place.at(_number(given, "x"), _number(given, "y"))
    right, bottom = left + _number(given, "width") * place.scale, top + _number(given, "height") * place.scale
    fill, stroke = _colour(given, "fill"), _colour(given, "stroke")
    radius = _number(given, "rx") * place.scale
    if fill is not None and right - left >= 0.5 and bottom - top >= 0.5:
        opacity = _number(given, "fill-opacity", 1.0) * _number(given, "opacity", 1.0)
        box = (round(left), round(top), max(round(left), round(right) - 1), max(round(top), round(bottom) - 1))
        if opacity < 1:
            # No larger than the rectangle: a matrix has thousands of them.
            size = (box[2] - box[0] + 1, box[3] - box[1] + 1)
            mask = Image.new("L", size, 0)
            ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius, fill=round(255 * opacity))
            canvas.paste(fill, (box[0], box[1], box[2] + 1, box[3] + 1), mask)
        else:
            ImageDraw.Draw(canvas).rounded_rectangle(box, radius, fill=fill)
    if stroke is not None:
        width = max(1, round(_number(given, "stroke-width", 1.0) * place.scale))
        half = width / 2
        box = (round(left - half), round(top - half), round(right + half) - 1, round(bottom + half) - 1)
        if box[2] >= box[0] and box[3] >= box[1]:
            ImageDraw.Draw(canvas).rounded_rectangle(box, radius, outline=stroke, width=width)


def _image(given: Mapping[str, str], canvas: Image.Image, place: _Place) -> None:
    from PIL import Image

    href = given.get("href", "")
    if not href.startswith(_DATA):
        return
    found = Image.open(io.BytesIO(base64.b64decode(href.partition(",")[2]))).convert("RGBA")
    left, top = place.at(_number(given, "x"), _number(given, "y"))
    size = (max(1, round(_number(given, "width") * place.scale)), max(1, round(_number(given, "height") * place.scale)))
    # Cells are kept sharp where they are enlarged, as a page shows them.
    smaller = size[0] < found.width or size[1] < found.height
    how = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    drawn = found.resize(size, how)
    opacity = _number(given, "opacity", 1.0)
    mask = drawn.getchannel("A").point(lambda level: round(level * opacity))
    canvas.paste(drawn.convert("RGB"), (round(left), round(top)), mask)


def _text(element: Element, given: Mapping[str, str], canvas: Image.Image, place: _Place) -> None:
    from PIL import Image, ImageDraw

    content = "".join(child for child in element.children if isinstance(child, str))
    if not content:
        return
    font, complete = _font(max(1.0, _number(given, "font-size", 12) * place.scale))
    content = content if complete else content.translate(_PLAINER)
    anchor = {"middle": "m", "end": "r"}.get(given.get("text-anchor", "start"), "l") + "s"
    x, y = place.at(_number(given, "x"), _number(given, "y"))
    fill = _colour(given, "fill") or (0, 0, 0)
    # A heavier face is the same one, drawn with a pen.
    pen = round(0.35 * place.scale) if given.get("font-weight") else 0
    halo = _colour(given, "stroke")
    turned = re.match(r"rotate\(([-\d.e+]+)", given.get("transform", ""))
    ink = ImageDraw.Draw(canvas)
    if turned is None:
        if halo is not None:
            ink.text((x, y), content, halo, font, anchor, stroke_width=round(1.5 * place.scale), stroke_fill=halo)
        ink.text((x, y), content, fill, font, anchor, stroke_width=pen, stroke_fill=fill)
        return
    reach = math.ceil(font.getlength(content) + 2 * place.scale * _number(given, "font-size", 12))
    mask = Image.new("L", (2 * reach, 2 * reach), 0)
    ImageDraw.Draw(mask).text((reach, reach), content, 255, font, anchor)
    mask = mask.rotate(-float(turned[1]), Image.Resampling.BICUBIC)
    canvas.paste(Image.new("RGB", mask.size, fill), (round(x) - reach, round(y) - reach), mask)


@lru_cache(maxsize=64)
def _font(size: float) -> tuple[Any, bool]:
    """Return a face of a size, and whether it has signs beyond Latin letters."""
    from PIL import ImageFont

    for name in _FACES:
        try:
            return ImageFont.truetype(name, size), True
        except OSError:
            continue
    return ImageFont.load_default(size), False


def _lines(tag: str, given: Mapping[str, str]) -> Iterator[tuple[list[Corner], bool]]:
    """Yield the corners of a shape's lines, and whether they are closed."""
    if tag == "line":
        yield [(_number(given, "x1"), _number(given, "y1")), (_number(given, "x2"), _number(given, "y2"))], False
    elif tag == "circle":
        x, y, r = (_number(given, name) for name in ("cx", "cy", "r"))
        yield [(x + r * math.cos(a / 18 * math.pi), y + r * math.sin(a / 18 * math.pi)) for a in range(36)], True
    elif tag == "path":
        yield from _of_path(given.get("d", ""))
    else:
        numbers = [float(found) for found in re.findall(r"[-+]?[\d.]+(?:e[-+]?\d+)?", given.get("points", ""))]
        yield list(zip(numbers[::2], numbers[1::2], strict=False)), tag == "polygon"


def _of_path(text: str) -> Iterator[tuple[list[Corner], bool]]:
    """Yield the lines of a path of the commands M, L, H, V, Q, C and Z, and of their relative forms."""
    tokens = re.findall(r"[A-Za-z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", text)
    points: list[Corner] = []
    command, at = "", 0
    while at < len(tokens):
        if tokens[at].isalpha():
            command, at = tokens[at], at + 1
        if command in "Zz":
            yield points, True
            points = points[:1]
            continue
        count = {"M": 2, "L": 2, "H": 1, "V": 1, "Q": 4, "C": 6}.get(command.upper())
        assert count is not None, f"no drawing here has the path command {command!r}"
        numbers, at = [float(token) for token in tokens[at : at + count]], at + count
        x, y = points[-1] if command.islower() and points else (0.0, 0.0)
        if command in "Mm":
            if len(points) > 1:
                yield points, False
            points, command = [(x + numbers[0], y + numbers[1])], "l" if command == "m" else "L"
        elif command in "HhVv":
            points.append((x + numbers[0], points[-1][1]) if command in "Hh" else (points[-1][0], y + numbers[0]))
        else:
            ends = [(x + a, y + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
            corners = [points[-1], *ends]
            points += [_bezier(corners, step / _CURVE_STEPS) for step in range(1, _CURVE_STEPS)] if count > 2 else []
            points.append(ends[-1])
    if len(points) > 1:
        yield points, False


def _bezier(corners: list[Corner], share: float) -> Corner:
    while len(corners) > 1:
        corners = [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in pairwise(corners)]
    return corners[0]


def _outline(
    points: list[Corner], given: Mapping[str, str], canvas: Image.Image, scale: float, *, closed: bool
) -> None:
    from PIL import ImageDraw

    ink, fill, stroke = ImageDraw.Draw(canvas), _colour(given, "fill"), _colour(given, "stroke")
    if fill is not None and len(points) > 2:
        ink.polygon(points, fill=fill)
    if stroke is None or len(points) < 2:
        return
    width = max(1, round(_number(given, "stroke-width", 1.0) * scale))
    line = [*points, points[0]] if closed else points
    dashes = [float(part) * scale for part in given.get("stroke-dasharray", "").replace(",", " ").split()]
    for part in _dashed(line, dashes) if dashes else [line]:
        ink.line(part, fill=stroke, width=width, joint="curve")


def _dashed(points: list[Corner], dashes: list[float]) -> Iterator[list[Corner]]:
    """Yield the drawn parts of a dashed line."""
    left, number, part = dashes[0], 0, [points[0]]
    for start, end in pairwise(points):
        length, done = math.dist(start, end), 0.0
        while length - done > left:
            done += left
            share = done / length
            here = (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)
            if number % 2 == 0:
                yield [*part, here]
            number, part = number + 1, [here]
            left = max(0.1, dashes[number % len(dashes)])
        left -= length - done
        part.append(end)
    if number % 2 == 0 and len(part) > 1:
        yield part
