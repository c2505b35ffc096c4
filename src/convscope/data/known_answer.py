"""Images whose answer is known: which pixels decide the class, so that an explanation of a network can be wrong.

Each shows a shape on a ground of coarse colours under noise; the shape is the class. In the variant "cue" a coloured
dot in a corner is the class, whatever the shape; in "distractor" a smaller shape of another class stands beside the
first. An attribution must then lie on the shape, on the dot, and not on the second shape. The ground may have a texture
as well, and the shape a bar in front of a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from convscope.arrays import Booleans, Floats
from convscope.data.records import Labels, Pixels
from convscope.data.shape_drawing import (
    DISC,
    DRAWN,
    PIXELS_AT_ONCE,
    REACH,
    SHAPES,
    Floats32,
    ShapesDrawn,
    boxes_of,
    drawn_over,
    interpolation,
)
from convscope.errors import DataError

AnswerVariant = Literal["plain", "cue", "distractor"]

FEWEST_CLASSES, SMALLEST = 4, 32
RADII = (8 / 64, 13 / 64)  # of a shape, as a share of the image's side
COARSE, FINE = 4, 16  # points along a side of the grids on which colours and the texture of the ground are drawn
# The range of the ground's colours and the standard deviation of the noise. |image - mean| has 1.7 times as much of its
# sum in the shape's box as the box has of the area; on a textured ground, whose colours are as far apart as any, 1.1.
GROUND, NOISE = (0.3, 0.7), 0.12
TEXTURED_GROUND, TEXTURED_NOISE, TEXTURE = (0.0, 1.0), 0.04, 0.05  # the last of the brightness on the finer grid
DOT = 3 / 64  # radius of the dot, and
DOT_FROM_EDGE = 6 / 64  # the distance of its centre from both edges, as shares of the side
SECOND = 0.75  # radius of the second shape, in radii of the first
_COLOURS = np.array(
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0)], dtype=np.float32
)


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownAnswers:
    """Images with what decides their class. Boxes are (first row, first column, last row + 1, last column + 1).

    Args:
        images: uint8 (N, S, S, 3).
        labels: the class of each image, int64 (N,): its shape, or in the variant "cue" the colour of its dot.
        classes: the names of the classes.
        variant: plain, cue or distractor.
        shapes: which of the classes the shape is, int64 (N,).
        masks: the shape's visible pixels, bool (N, S, S).
        boxes: around the whole shape, int64 (N, 4).
        cues: the centre of the dot, row and column, float64 (N, 2); None without dots.
        cue_boxes: around the dot, int64 (N, 4); None without dots.
        second_shapes: the class of the second shape, int64 (N,); None without one.
        second_boxes: around it, int64 (N, 4); None without one.
    """

    images: Pixels
    labels: Labels
    classes: tuple[str, ...]
    variant: AnswerVariant
    shapes: Labels
    masks: Booleans
    boxes: Labels
    cues: Floats | None = None
    cue_boxes: Labels | None = None
    second_shapes: Labels | None = None
    second_boxes: Labels | None = None


def known_answers(
    count: int,
    *,
    size: int = 64,
    classes: int = 4,
    variant: AnswerVariant = "plain",
    textured: bool = False,
    occluded: bool = False,
    radii: tuple[float, float] = RADII,
    noise: float | None = None,
    seed: int = 0,
) -> KnownAnswers:
    """Return images whose class is decided by known pixels; the same for the same seed, however many are made.

    Args:
        count: of images.
        size: their side S in pixels, 32 or more; shapes, bars and dots grow with it.
        classes: 4 to 8.
        variant: plain; cue: the dot's colour is the class and the shape says nothing; distractor: with a second shape.
        textured: the ground has colours of the whole range and a texture, and less noise.
        occluded: a bar is in front of the shape in half of the images.
        radii: the smallest and the largest radius of the shape, as shares of the side.
        noise: standard deviation of the noise, white being 1; 0.12, or 0.04 on a textured ground, unless given.
        seed: of the numbers that are drawn.

    Raises:
        DataError: a count, a size or a number of classes out of range.

    >>> made = known_answers(3, seed=7)
    >>> made.images.shape, made.labels.tolist(), made.classes
    ((3, 64, 64, 3), [3, 0, 0], ('ring', 'cross', 'triangle', 'square'))
    >>> made.boxes[0].tolist(), int(made.masks[0].sum())
    ([4, 31, 19, 47], 227)
    """
    if count < 1:
        raise DataError(f"count is {count}: one image or more can be made")
    if size < SMALLEST:
        raise DataError(f"size is {size}: shapes can be told apart from {SMALLEST} pixels on")
    if not FEWEST_CLASSES <= classes <= len(SHAPES):
        raise DataError(f"classes is {classes}: there are {FEWEST_CLASSES} to {len(SHAPES)} shapes")
    drawn = _Draws(seed=seed, count=count)
    scene = _scene(drawn, size=size, classes=classes, variant=variant, textured=textured, radii=radii)
    if noise is not None:
        scene = replace(scene, noise=noise)
    if not occluded:
        scene = replace(scene, bars=replace(scene.bars, radii=np.zeros_like(scene.bars.radii)))
    images = np.empty((count, size, size, 3), np.uint8)
    masks = np.empty((count, size, size), bool)
    step = max(1, PIXELS_AT_ONCE // size**2)
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        images[rows], masks[rows] = _painted(scene, rows, size)
    cued = scene.dots is not None
    return KnownAnswers(
        images=images,
        labels=scene.labels,
        classes=SHAPES[:classes] if not cued else tuple(f"dot {number}" for number in range(classes)),
        variant=variant,
        shapes=scene.first.shapes,
        masks=masks,
        boxes=boxes_of(scene.first, size),
        cues=scene.dots,
        cue_boxes=None if scene.dots is None else _square_boxes(scene.dots, DOT * size, size),
        second_shapes=None if scene.second is None else scene.second.shapes,
        second_boxes=None if scene.second is None else boxes_of(scene.second, size),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scene:
    """What is drawn of each image, from the back to the front."""

    labels: Labels
    coarse: Floats32  # colours of the ground on a 5x5 grid, (N, 5, 5, 3)
    fine: Floats32  # brightness on a 16x16 grid, (N, 16, 16)
    noise: float  # standard deviation
    noise_seed: int
    first: ShapesDrawn
    second: ShapesDrawn | None
    bars: ShapesDrawn  # in front of the first shape
    dots: Floats | None  # row and column, (N, 2)


class _Draws:
    """Random numbers, of each kind from a generator of its own: image i has the same however many are made."""

    def __init__(self, *, seed: int, count: int) -> None:
        self._seed, self._count, self._kinds = seed, count, 0

    def uniform(self, low: float, high: float, *shape: int) -> Floats:
        """Return float64 numbers of (count, *shape)."""
        self._kinds += 1
        return np.random.default_rng([self._seed, self._kinds]).uniform(low, high, (self._count, *shape))

    def below(self, limit: int) -> Labels:
        """Return whole numbers from 0, int64 (count,)."""
        return np.floor(self.uniform(0, limit)).astype(np.int64)

    def seed(self) -> int:
        """Return a seed for numbers that are drawn image by image."""
        self._kinds += 1
        return int(np.random.default_rng([self._seed, self._kinds]).integers(1 << 32))


def _scene(
    draws: _Draws, *, size: int, classes: int, variant: AnswerVariant, textured: bool, radii: tuple[float, float]
) -> _Scene:
    shapes = draws.below(classes)
    lengths = draws.uniform(*radii) * size
    ground, texture = (TEXTURED_GROUND, TEXTURE) if textured else (GROUND, 0.0)
    coarse = draws.uniform(*ground, COARSE, COARSE, 3).astype(np.float32)
    fine = draws.uniform(-texture, texture, FINE, FINE).astype(np.float32)
    places, angles = draws.uniform(0, 1, 2), draws.uniform(-0.3, 0.3)
    centres = REACH * lengths[:, None] + places * (size - 2 * REACH * lengths[:, None])
    bar_places, bar_angles = draws.uniform(-0.5, 0.5, 2), draws.uniform(0, np.pi)
    hidden = draws.uniform(0, 1) < 0.5  # by a bar
    second = None
    if variant == "distractor":
        centres, second = _two(draws, shapes, lengths, coarse, size=size, classes=classes)
    colours, bar_colours = (_contrasting(draws, _at(coarse, centres, size)) for _ in range(2))
    noise_seed = draws.seed()
    labels, dots = shapes, None
    if variant == "cue":
        labels = draws.below(classes)
        edge = DOT_FROM_EDGE * size
        dots = np.where(centres < size / 2, size - edge, edge)  # in the corner that is farthest from the shape
    first = ShapesDrawn(shapes=shapes, centres=centres, radii=lengths, angles=angles, colours=colours)
    bars = ShapesDrawn(
        shapes=np.full_like(shapes, DRAWN.index("bar")),
        centres=centres + bar_places * lengths[:, None],
        radii=np.where(hidden, 0.6 * lengths, 0.0),
        angles=bar_angles,
        colours=bar_colours,
    )
    return _Scene(
        labels=labels,
        coarse=coarse,
        fine=fine,
        noise=TEXTURED_NOISE if textured else NOISE,
        noise_seed=noise_seed,
        first=first,
        second=second,
        bars=bars,
        dots=dots,
    )


def _contrasting(draws: _Draws, ground: Floats) -> Floats32:
    """Return colours that differ from the ground's by 0.3 to 0.5 in each channel, (N, 3)."""
    signs = np.where(draws.uniform(-1, 1, 3) < 0, -1.0, 1.0)
    moved = ground + signs * draws.uniform(0.3, 0.5, 3)
    return np.where((moved < 0) | (moved > 1), 2 * ground - moved, moved).clip(0, 1).astype(np.float32)


def _at(coarse: Floats32, centres: Floats, size: int) -> Floats:
    """Return the ground's colour nearest to each centre, (N, 3)."""
    rows, columns = np.rint(centres / size * (COARSE - 1)).astype(np.int64).clip(0, COARSE - 1).T
    found: Floats = coarse[np.arange(len(coarse)), rows, columns].astype(np.float64)
    return found


def _two(
    draws: _Draws, shapes: Labels, radii: Floats, coarse: Floats32, *, size: int, classes: int
) -> tuple[Floats, ShapesDrawn]:
    """Return the centres of the first shapes, each in one half of its image, and smaller ones of another class."""
    count, smaller = len(shapes), SECOND * radii
    across, along = draws.uniform(0, 1, 2), draws.uniform(0, 1, 2)
    pairs = np.empty((count, 2, 2))  # first and second shape, row and column
    for number, radius in enumerate((radii, smaller)):
        least, room = REACH * radius, size / 2 - 2 * REACH * radius
        half = least + along[:, number] * room.clip(0)
        pairs[:, number, 0] = half if number == 0 else size - half
        pairs[:, number, 1] = least + across[:, number] * (size - 2 * least)
    turned, mirrored = draws.uniform(0, 1) < 0.5, draws.uniform(0, 1) < 0.5
    pairs[mirrored, :, 0] = size - pairs[mirrored, :, 0]
    pairs[turned] = pairs[turned][..., ::-1]
    other = (shapes + 1 + draws.below(classes - 1)) % classes
    colours = _contrasting(draws, _at(coarse, pairs[:, 1], size))
    angles = draws.uniform(-0.3, 0.3)
    second = ShapesDrawn(shapes=other, centres=pairs[:, 1], radii=smaller, angles=angles, colours=colours)
    return pairs[:, 0], second


def _painted(scene: _Scene, rows: slice, size: int) -> tuple[Pixels, Booleans]:
    """Return some of the images and the visible pixels of their shapes."""
    coarse, fine = interpolation(COARSE, size), interpolation(FINE, size)
    image = np.einsum("yi,nijc,xj->nyxc", coarse, scene.coarse[rows], coarse, optimize=True)
    texture = np.einsum("yi,nij,xj->nyx", fine, scene.fine[rows], fine, optimize=True)
    for row, number in enumerate(range(rows.start, rows.stop)):
        noise = np.random.default_rng([scene.noise_seed, number])
        texture[row] += noise.standard_normal((size, size), np.float32) * np.float32(scene.noise)
    if scene.second is not None:
        image = drawn_over(image, scene.second, rows, size)[0]
    image, cover = drawn_over(image, scene.first, rows, size)
    image, in_front = drawn_over(image, scene.bars, rows, size)
    mask = (cover >= 0.5) & (in_front < 0.5)
    image += texture[..., None]
    if scene.dots is not None:
        dots = ShapesDrawn(
            shapes=np.full_like(scene.labels, SHAPES.index("disc")),
            centres=scene.dots,
            radii=np.full(len(scene.labels), DOT * size / DISC),
            angles=np.zeros(len(scene.labels)),
            colours=_COLOURS[scene.labels],
        )
        image = drawn_over(image, dots, rows, size)[0]
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8), mask


def _square_boxes(centres: Floats, radius: float, size: int) -> Labels:
    ends = np.concatenate([np.floor(centres - radius), np.ceil(centres + radius)], axis=1)
    return ends.clip(0, size).astype(np.int64)
