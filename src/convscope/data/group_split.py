"""Stratified, seeded splits that part no group of rows, such as the images of one patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from convscope.data.records import Labels, Targets
from convscope.data.split import check_fractions, owed_by_part

# Passes in which every group is tried in every part.
PASSES = 4
# Exchanges of two groups that are tried, for each group and in all.
EXCHANGES, MOST_EXCHANGES = 10, 2_000
# A change that makes less difference than this is rounding.
ROUNDING = 1e-9


def group_split(
    group_of: Labels, labels: Labels | Targets, classes: int, fractions: tuple[float, ...], *, seed: int
) -> Labels:
    """Return the part of each group, int64 (groups,): 0 is the rest, then one for each of `fractions`.

    After scikit-learn's StratifiedGroupKFold: the largest groups are assigned first, each to the part whose numbers of
    images, of each class and in all, it brings nearest to what they are to be. Then groups are moved and exchanged
    while that brings them nearer still. The rest keeps an image of every class, and every part of a fraction above 0
    gets a group where one can be spared.

    Args:
        group_of: the group of each row, from 0, without gaps.
        labels: (rows,), or targets (rows, classes).
        classes: their number.
        fractions: of the parts after the rest.
        seed: decides between groups that are alike.

    Raises:
        DataError: fractions that don't work out.

    >>> parts = group_split(np.arange(20) // 2, np.repeat([0, 1], 10), 2, (0.2,), seed=0)
    >>> parts.tolist().count(0), parts.tolist().count(1)
    (8, 2)
    """
    check_fractions(fractions)
    shares = np.array([1 - sum(fractions), *fractions])
    counts = np.bincount(labels, minlength=classes) if labels.ndim == 1 else (labels > 0).sum(0)
    deal = _Deal(
        sizes=np.bincount(group_of).tolist(),
        shown=_shown_by(group_of, labels, classes),
        parts=[part for part in range(len(shares)) if shares[part] > 0],
        owed=np.maximum(owed_by_part(counts, fractions), 0.5).tolist(),
        room=np.maximum(shares * len(group_of), 0.5).tolist(),
    )
    draw = np.random.default_rng(seed)
    deal.assign(sorted(draw.permutation(len(deal.sizes)).tolist(), key=lambda group: -deal.sizes[group]))
    for _ in range(PASSES):
        if not deal.move():
            break
    deal.exchange(draw)
    deal.mend()
    return np.array(deal.part_of, np.int64)


def _shown_by(group_of: Labels, labels: Labels | Targets, classes: int) -> list[list[tuple[int, int]]]:
    """Return the classes of each group, each with how many of its rows show it."""
    rows, shown = (np.arange(len(labels)), labels) if labels.ndim == 1 else np.nonzero(labels)
    keys, counts = np.unique(group_of[rows] * classes + shown, return_counts=True)
    found: list[list[tuple[int, int]]] = [[] for _ in range(int(group_of.max(initial=-1)) + 1)]
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        found[key // classes].append((key % classes, count))
    return found


@dataclass
class _Deal:
    """ImageGroups in parts: what each part is to hold (`owed` of each class, `room` in all) and what it holds."""

    sizes: list[int]
    shown: list[list[tuple[int, int]]]
    parts: list[int]
    owed: list[list[float]]
    room: list[float]
    part_of: list[int] = field(init=False)
    held: list[list[int]] = field(init=False)
    filled: list[int] = field(init=False)
    order: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.part_of = [0] * len(self.sizes)
        self.held = [[0] * len(owed) for owed in self.owed]
        self.filled = [0] * len(self.room)

    def assign(self, order: list[int]) -> None:
        """Assign the groups in this order, each to the part that it makes best."""
        self.order = order
        for group in order:
            best = min(self.parts, key=lambda part: self._worse(group, part, 1))
            self._put(group, best, 1)
            self.part_of[group] = best

    def move(self) -> bool:
        """Move each group to the part where it does most good; return whether one was moved."""
        moved = False
        for group in self.order:
            here = self.part_of[group]
            without = self._worse(group, here, -1)
            changes = [(without + self._worse(group, part, 1), part) for part in self.parts if part != here]
            change, best = min(changes, default=(0.0, here))
            if change < -ROUNDING:
                self._give(group, best)
                moved = True
        return moved

    def exchange(self, draw: np.random.Generator) -> None:
        """Exchange two groups of different parts, drawn at random, where that brings both nearer."""
        count = len(self.sizes)
        for first, second in draw.integers(count, size=(min(EXCHANGES * count, MOST_EXCHANGES), 2)).tolist():
            here, there = self.part_of[first], self.part_of[second]
            if here == there:
                continue
            worse = self._worse(first, here, -1)
            self._put(first, here, -1)
            worse += self._worse(second, there, -1)
            self._put(second, there, -1)
            worse += self._worse(first, there, 1) + self._worse(second, here, 1)
            if worse < -ROUNDING:
                self.part_of[first], self.part_of[second] = there, here
            self._put(first, self.part_of[first], 1)
            self._put(second, self.part_of[second], 1)

    def mend(self) -> None:
        """Return a group of each class that the rest lacks to the rest, and give every empty part one to spare."""
        lacking = [label for label, count in enumerate(self.held[0]) if not count]
        for label in lacking:
            holders = (g for g in reversed(self.order) if any(shown == label for shown, _ in self.shown[g]))
            group = next(holders, None)
            if group is not None and not self.held[0][label]:
                self._give(group, 0)
        for part in self.parts[1:]:
            if not self.filled[part]:
                spare = (group for group in reversed(self.order) if self._can_be_spared(group))
                if (group := next(spare, None)) is not None:
                    self._give(group, part)

    def _can_be_spared(self, group: int) -> bool:
        """Return whether the rest holds a group and would still have every class without it."""
        return self.part_of[group] == 0 and all(self.held[0][label] > count for label, count in self.shown[group])

    def _worse(self, group: int, part: int, sign: int) -> float:
        """Return how much worse a part is with (sign 1) or without (-1) a group, as a sum of chi-squares."""
        size, owed, held = self.sizes[group], self.owed[part], self.held[part]
        worse = size * (size + 2 * sign * (self.filled[part] - self.room[part])) / self.room[part]
        for label, count in self.shown[group]:
            worse += count * (count + 2 * sign * (held[label] - owed[label])) / owed[label]
        return worse

    def _put(self, group: int, part: int, sign: int) -> None:
        """Count a group in a part (sign 1), or no more (-1)."""
        self.filled[part] += sign * self.sizes[group]
        for label, count in self.shown[group]:
            self.held[part][label] += sign * count

    def _give(self, group: int, part: int) -> None:
        self._put(group, self.part_of[group], -1)
        self._put(group, part, 1)
        self.part_of[group] = part
