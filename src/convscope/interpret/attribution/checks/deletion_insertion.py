"""Does a map find the pixels that count: the class's probability as they are removed, or shown, in the map's order.

Source: Petsiuk, Das and Saenko 2018, "RISE: Randomized input sampling for explanation of black-box models", section
4.2. What is removed is replaced by the blurred image. An area under such a curve says little by itself, so each stands
beside that of a random order and that of a map of nothing but the distance from the centre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from convscope.arrays import Array, Booleans, Floats
from convscope.errors import GeometryError
from convscope.interpret.attribution.baselines import baseline_of
from convscope.interpret.attribution.batches import forward_batch
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, no_progress
from convscope.report.short_repr import ShortRepr

POINTS = 20  # on each curve, the whole image and the blurred one included
LEAST_GAIN = 0.02  # of an area over random order's, below which a map does no better
_OrderKey: TypeAlias = tuple[Literal["map", "centre", "random"], object]  # a map's name, None, or a grid of cells


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Perturbation(ShortRepr):
    """The probability of a class as pixels are removed and shown in one order, at even shares from 0 to 1.

    Args:
        deletion: probability when this share of the pixels is blurred, those first in the order first; (points,).
        insertion: probability when this share of the pixels is shown and all others are blurred; (points,).
    """

    deletion: Floats
    insertion: Floats

    @property
    def deletion_area(self) -> float:
        """The area under the deletion curve, 0 to 1; smaller is better."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """The area under the insertion curve, 0 to 1; larger is better."""
        return _area(self.insertion)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DeletionInsertion(ShortRepr):
    """How well a map finds the pixels that count, against random order and the distance from the centre.

    Args:
        own: in the map's order.
        random: in random order, of squares as large as the map's cells.
        centre: from the centre outwards.
    """

    own: Perturbation
    random: Perturbation
    centre: Perturbation

    @property
    def deletion_gain(self) -> float:
        """By how much the deletion area is below random order's."""
        return self.random.deletion_area - self.own.deletion_area

    @property
    def insertion_gain(self) -> float:
        """By how much the insertion area is above random order's."""
        return self.own.insertion_area - self.random.insertion_area

    @property
    def deletion_gain_over_centre(self) -> float:
        """By how much the deletion area is below that of the distance from the centre."""
        return self.centre.deletion_area - self.own.deletion_area

    @property
    def insertion_gain_over_centre(self) -> float:
        """By how much the insertion area is above that of the distance from the centre."""
        return self.own.insertion_area - self.centre.insertion_area

    @property
    def blurring_matters(self) -> bool:
        """Whether blurring the whole image lowers the probability at all: where it does not, no order can."""
        return bool(self.own.deletion[0] - self.own.deletion[-1] > LEAST_GAIN)

    @property
    def better(self) -> tuple[str, ...]:
        """By which curves the map does better than random order: deletion, insertion, both or none."""
        gains = (("deletion", self.deletion_gain), ("insertion", self.insertion_gain))
        return tuple(name for name, gain in gains if gain > LEAST_GAIN)

    @property
    def sentence(self) -> str:
        """What was found, in a sentence."""
        if not self.blurring_matters:
            return "Blurring the whole image hardly lowers the probability, so no order of pixels can"
        gains = [round(gain, 2) + 0.0 for gain in (self.deletion_gain, self.insertion_gain)]
        figures = f"deletion {gains[0]:+.2f}, insertion {gains[1]:+.2f} against random order"
        centre = min(self.deletion_gain_over_centre, self.insertion_gain_over_centre)
        if len(self.better) == 2:
            beside = "" if centre > 0 else "; ranked by distance from the centre, pixels matter as much"
            return f"The pixels that it ranks first matter more than random ones: {figures}{beside}"
        if self.better:
            return f"The pixels that it ranks first matter by {self.better[0]} only: {figures}"
        return f"The pixels that it ranks first matter no more than random ones: {figures}"


def deletion_insertion(
    subject: Subject,
    maps: Mapping[str, Array],
    target: int,
    *,
    cells: Mapping[str, tuple[int, ...]] | None = None,
    points: int = POINTS,
    seed: int = 0,
    in_bf16: bool = False,
    progress: Progress = no_progress,
) -> dict[str, DeletionInsertion]:
    """Return for each map how well it finds the pixels that count.

    Orders are from the largest value down, signs kept; equal values are in a random order of the seed. All images are
    computed in batches: 36 for each map, 36 for the distance from the centre, and 18 for each grid of cells (a random
    order shown is a random order removed, read from its end).

    Args:
        subject: the network and its image.
        maps: on the image's positions, (H, W).
        target: the class.
        cells: of each map, how many cells it has along each axis: its random order is one of such cells. Single
            positions unless given.
        points: on each curve.
        seed: of random orders.
        in_bf16: compute the forward passes in bf16.
        progress: called with images done.

    Raises:
        GeometryError: a map that is not of the image's shape.
    """
    sides = subject.geometry.size
    if not maps:
        return {}
    for name, found in maps.items():
        if found.shape != sides:
            raise GeometryError(
                f"the map {name} is of {found.shape}, and the image of {sides}: give a map on the image"
            )
    grids = {name: tuple((cells or {}).get(name, sides)) for name in maps}
    orders = _orders(maps, grids, sides, np.random.default_rng(seed))
    shares = np.linspace(0, 1, points)[1:-1]
    shown: list[Booleans] = [np.ones(sides, bool), np.zeros(sides, bool)]
    for key, order in orders.items():
        removed = [order < round(share * order.size) for share in shares]
        shown += [~mask for mask in removed]
        shown += [] if _is_random(key) else removed
    found = class_probabilities(subject, shown, target, in_bf16=in_bf16, progress=progress)
    curves = _curves(list(orders), found, points)
    return {
        name: DeletionInsertion(
            own=curves["map", name], random=curves["random", grids[name]], centre=curves["centre", None]
        )
        for name in maps
    }


def _orders(
    maps: Mapping[str, Array],
    grids: Mapping[str, tuple[int, ...]],
    sides: tuple[int, ...],
    generator: np.random.Generator,
) -> dict[_OrderKey, Array]:
    """Return each position's place in the order of each map, of the centre map, and of random cells of each grid."""
    ties = generator.permutation(int(np.prod(sides)))
    orders: dict[_OrderKey, Array] = {("map", name): _order(found, ties) for name, found in maps.items()}
    orders["centre", None] = _order(-_distance(sides), ties)
    for grid in sorted(set(grids.values())):
        orders["random", grid] = _order(_random_map(sides, grid, generator), ties)
    return orders


def _curves(keys: Sequence[_OrderKey], found: Floats, points: int) -> dict[_OrderKey, Perturbation]:
    """Return the curves of each order.

    Args:
        keys: of the orders.
        found: the probability of the image, of the image without anything, and then of each order the points between
            of deletion, and of insertion where it is not random.
        points: on each curve.
    """
    whole, blank, rest = found[0], found[1], found[2:]
    curves = {}
    for key in keys:
        deletion, rest = rest[: points - 2], rest[points - 2 :]
        if _is_random(key):
            insertion = deletion[::-1]
        else:
            insertion, rest = rest[: points - 2], rest[points - 2 :]
        curves[key] = Perturbation(
            deletion=np.concatenate([[whole], deletion, [blank]]),
            insertion=np.concatenate([[blank], insertion, [whole]]),
        )
    return curves


def _is_random(key: _OrderKey) -> bool:
    """Return whether an order is a random one, of which what is shown first is what the reverse removes first."""
    return key[0] == "random"


def class_probabilities(
    subject: Subject,
    shown: Sequence[Booleans],
    target: int,
    *,
    in_bf16: bool = False,
    progress: Progress = no_progress,
) -> Floats:
    """Return the probability of a class when only the positions of each mask are shown, and the rest is blurred.

    Args:
        subject: the network and its image.
        shown: masks of the image's shape.
        target: the class.
        in_bf16: compute the forward passes in bf16.
        progress: called with images done.
    """
    replays: Replays = subject.replays.in_bf16 if in_bf16 else subject.replays
    axes, image = subject.geometry.image_axes, subject.tensor
    instead, _ = baseline_of(subject, "blurred")
    places = [side if axis in axes else 1 for axis, side in enumerate(image.shape)][1:]
    found: list[Floats] = []
    size = forward_batch(subject.replay.graph, len(shown))
    for start in range(0, len(shown), size):
        progress(start, len(shown), "deletion and insertion")
        masks = torch.from_numpy(np.stack(shown[start : start + size])).reshape(-1, *places)
        batch = torch.where(masks, image, instead)
        scores = replays.class_scores(batch).double()
        found.append(subject.objective.probabilities(scores)[:, target].numpy())
    progress(len(shown), len(shown), "deletion and insertion")
    return np.concatenate(found)


def _order(values: Array, ties: Array) -> Array:
    """Return each position's place in the order from the largest value down; equal values by `ties`, NaN last."""
    flat = np.nan_to_num(np.ravel(values), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    places = np.empty(flat.size, np.int64)
    places[np.lexsort((ties, -flat))] = np.arange(flat.size)
    return places.reshape(values.shape)


def _distance(sides: tuple[int, ...]) -> Floats:
    """Return the distance of each position from the image's centre, as a share of half of its side."""
    total = np.zeros(sides)
    for axis, side in enumerate(sides):
        along = (np.arange(side) + 0.5) / side - 0.5
        total += (along**2).reshape([-1 if other == axis else 1 for other in range(len(sides))])
    return np.sqrt(total)


def _random_map(sides: tuple[int, ...], grid: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Return random numbers, one a cell of a grid that is laid over the image."""
    found = generator.random(grid)
    for axis, (side, count) in enumerate(zip(sides, grid, strict=True)):
        found = found.take(np.arange(side) * count // side, axis=axis)
    return found


def _area(curve: Floats) -> float:
    """Return the area under a curve over even steps from 0 to 1 (trapezoids)."""
    return float(((curve[:-1] + curve[1:]) / 2).mean())
