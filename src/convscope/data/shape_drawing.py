"""Shapes drawn over images, many images at a time, with soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convscope.arrays import Booleans, Floats
from convscope.data.records import Labels

Floats32 = npt.NDArray[np.float32]

SHAPES = ("ring", "cross", "triangle", "square", "star", "disc", "corner", "crescent")
DRAWN = (*SHAPES, "bar")
REACH = 1.15  # of the farthest point of any shape, in radii
DISC = 0.95  # of the disc, in radii
PIXELS_AT_ONCE = 1 << 17


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapesDrawn:
    """A shape an image: its place in DRAWN (N,), centre in pixels (N, 2), radius, angle (N,) and colour (N, 3)."""

    shapes: Labels
    centres: Floats
    radii: Floats
    angles: Floats
    colours: Floats32


def drawn_over(image: Floats32, drawn: ShapesDrawn, rows: slice, size: int) -> tuple[Floats32, Floats32]:
    """Return images (N, S, S, 3) with shapes over them, and the share of each pixel that a shape covers (N, S, S)."""
    cover = np.zeros(image.shape[:3], np.float32)
    centres, radii, angles = drawn.centres[rows], drawn.radii[rows], drawn.angles[rows]
    middles = np.arange(size) + 0.5
    for kind in np.unique(drawn.shapes[rows]):
        of_kind = np.flatnonzero((drawn.shapes[rows] == kind) & (radii > 0))
        down = (middles - centres[of_kind, :1])[:, :, None].astype(np.float32)
        right = (middles - centres[of_kind, 1:])[:, None, :].astype(np.float32)
        cosine, sine = (f(angles[of_kind]).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
        radius = radii[of_kind].astype(np.float32)[:, None, None]
        inside = _inside(DRAWN[kind], cosine * right + sine * down, cosine * down - sine * right, radius)
        cover[of_kind] = (inside + np.float32(0.5)).clip(0, 1)
    image += cover[..., None] * (drawn.colours[rows][:, None, None] - image)
    return image, cover


def _inside(shape: str, x: Floats32, y: Floats32, radius: Floats32) -> Floats32:
    """Return how far inside a shape's edge a place is, in pixels, negative outside; (x, y) from its centre, y down."""
    found: Floats32
    match shape:
        case "ring":
            found = 0.24 * radius - np.abs(np.hypot(x, y) - 0.78 * radius)
        case "cross":
            thin, long = 0.3 * radius, 1.05 * radius
            x, y = np.abs(x), np.abs(y)
            found = np.maximum(np.minimum(thin - x, long - y), np.minimum(thin - y, long - x))
        case "triangle":
            slope = 0.5 * y
            found = 0.56 * radius - np.maximum(y, np.maximum(0.75**0.5 * x - slope, -(0.75**0.5) * x - slope))
        case "square":
            found = 0.8 * radius - np.maximum(np.abs(x), np.abs(y))
        case "star":
            found = radius * (0.72 + 0.36 * np.cos(5 * np.arctan2(x, y))) - np.hypot(x, y)
        case "disc":
            found = DISC * radius - np.hypot(x, y)
        case "bar":
            found = np.minimum(1.1 * radius - np.abs(x), 0.3 * radius - np.abs(y))
        case "corner":
            edge = 0.85 * radius - np.maximum(np.abs(x), np.abs(y))
            found = np.minimum(edge, np.maximum(-x, y) - 0.25 * radius)
        case _:
            found = np.minimum(radius - np.hypot(x, y), np.hypot(x - 0.5 * radius, y) - 0.75 * radius)
    return found


def boxes_of(drawn: ShapesDrawn, size: int) -> Labels:
    """Return the boxes around whole shapes, by their own pixels, int64 (N, 4)."""
    found = np.empty((len(drawn.shapes), 4), np.int64)
    step = max(1, PIXELS_AT_ONCE // size**2)
    for start in range(0, len(found), step):
        rows = slice(start, min(start + step, len(found)))
        blank = np.zeros((rows.stop - start, size, size, 3), np.float32)
        cover: Booleans = np.asarray(drawn_over(blank, drawn, rows, size)[1] >= 0.5)
        for axis in (0, 1):
            along: Booleans = np.asarray(cover.any(2 - axis))
            found[rows, axis] = along.argmax(1)
            found[rows, axis + 2] = size - along[:, ::-1].argmax(1)
    return found


def interpolation(points: int, size: int) -> Floats32:
    """Return the matrix (size, points) that interpolates values at evenly spaced points, ends included."""
    places = np.linspace(0, points - 1, size)
    found: Floats32 = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(points))).astype(np.float32)
    return found
