"""Splits by group: no group in two parts, every class learned, and fractions and classes near what was asked."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.data.group_split import group_split


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The group of each row, its label or targets, and the number of classes, of a table drawn at random."""
    draw = np.random.default_rng(seed)
    rows, groups, classes = int(draw.integers(60, 600)), int(draw.integers(20, 120)), int(draw.integers(2, 6))
    popular = draw.dirichlet(np.full(groups, draw.choice([0.5, 2.0, 50.0])))
    group_of = np.unique(draw.choice(groups, rows, p=popular), return_inverse=True)[1]
    # From groups of one class each to groups that show them all.
    leaning = draw.dirichlet(np.full(classes, draw.choice([0.05, 1.0, 20.0])), groups)
    labels = (draw.random((rows, 1)) > leaning.cumsum(1)[group_of, :-1]).sum(1)
    if seed % 4:
        return group_of, labels, classes
    targets = (draw.random((rows, classes)) < 0.2).astype(np.uint8)
    targets[np.arange(rows), labels] = 1
    return group_of, targets, classes


def test_no_group_is_parted_and_shares_are_near_what_was_asked_on_a_thousand_tables() -> None:
    off: list[float] = []
    off_in_class: list[float] = []
    for seed in range(1000):
        group_of, labels, classes = drawn(seed)
        fractions = ((0.1, 0.1), (0.2, 0.2), (0.15,))[seed % 3]
        part_of = group_split(group_of, labels, classes, fractions, seed=seed)
        assert part_of.shape == (group_of.max() + 1,) and set(part_of) <= set(range(len(fractions) + 1))
        part = part_of[group_of]
        shown = np.eye(classes)[labels] if labels.ndim == 1 else labels
        assert (shown[part == 0].any(0) == shown.any(0)).all()
        # What no split can do better: the largest group, which may exceed a part by itself.
        coarse = np.bincount(group_of).max() / len(group_of)
        for number, fraction in enumerate(fractions, start=1):
            share = (part == number).mean()
            assert share > 0
            assert abs(share - fraction) <= max(0.03, coarse)
            off.append(abs(share - fraction))
            in_class = shown[part == number].sum(0) / shown.sum(0).clip(1)
            off_in_class.append(float(np.average(abs(in_class - fraction), weights=shown.sum(0))))
    assert np.mean(off) < 0.005
    assert np.mean(off_in_class) < 0.01


def test_the_seed_decides_between_groups_that_are_alike() -> None:
    group_of, labels = np.arange(80) // 2, np.arange(80) // 2 % 2
    first, again, other = (group_split(group_of, labels, 2, (0.2,), seed=seed).tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert first.count(1) == other.count(1) == 8


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_a_few_large_groups_give_every_part_one_where_one_can_be_spared(groups: int) -> None:
    group_of = np.arange(60) % groups
    part_of = group_split(group_of, np.arange(60) // groups % 2, 2, (0.1, 0.1), seed=0)
    assert len(set(part_of)) == min(groups, 3)
