"""Splits: complete, disjoint, stratified, and decided by labels and seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.data.split import iterative_split, stratified_split
from convscope.errors import DataError

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=8)


@given(sizes=SIZES, val=st.floats(0, 0.45), test=st.floats(0, 0.45), seed=st.integers(0, 2**31), order=st.randoms())
def test_every_row_once_and_each_class_its_share(
    sizes: list[int], val: float, test: float, seed: int, order: object
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order.shuffle(labels)
    parts = stratified_split(labels, (val, test), seed=seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for part, fraction in zip(parts[1:], (val, test), strict=True):
        counts = np.bincount(labels[part], minlength=len(sizes))
        for size, count in zip(sizes, counts, strict=True):
            assert abs(count - size * fraction) <= 1
    # Every class can be learned.
    assert (np.bincount(labels[parts[0]], minlength=len(sizes)) >= 1).all()
    for part, again in zip(parts, stratified_split(labels, (val, test), seed=seed), strict=True):
        assert np.array_equal(part, again)


def test_another_class_does_not_move_this_ones_split() -> None:
    few = stratified_split(np.repeat([0, 1], 50), (0.2,), seed=5)[1]
    more = stratified_split(np.repeat([0, 1, 2], 50), (0.2,), seed=5)[1]
    assert np.array_equal(few, more[more < 100])


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1,), (1.0,), (float("nan"),)])
def test_fractions_that_do_not_work_out(fractions: tuple[float, ...]) -> None:
    with pytest.raises(DataError):
        stratified_split(np.array([0, 1]), fractions, seed=0)


@given(
    rows=st.integers(1, 80),
    chances=st.lists(st.floats(0, 0.9), min_size=1, max_size=6),
    val=st.floats(0, 0.45),
    test=st.floats(0, 0.45),
    seed=st.integers(0, 2**31),
)
def test_images_of_several_classes_are_dealt_out_once_and_every_class_can_be_learned(
    rows: int, chances: list[float], val: float, test: float, seed: int
) -> None:
    targets = (np.random.default_rng(seed).random((rows, len(chances))) < chances).astype(np.uint8)
    parts = iterative_split(targets, (val, test), seed=seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))
    assert (targets[parts[0]].any(0) == targets.any(0)).all()
    for part, fraction in zip(parts[1:], (val, test), strict=True):
        assert fraction > 0 or not len(part)
    for part, again in zip(parts, iterative_split(targets, (val, test), seed=seed), strict=True):
        assert np.array_equal(part, again)


def test_rare_classes_reach_every_part_where_a_random_split_would_lose_them() -> None:
    draw = np.random.default_rng(3)
    targets = (draw.random((400, 5)) < (0.5, 0.3, 0.1, 0.03, 0.015)).astype(np.uint8)
    for seed in range(5):
        parts = iterative_split(targets, (0.1, 0.1), seed=seed)
        assert all(targets[part].any(0).all() for part in parts)
        assert [len(part) for part in parts[1:]] == pytest.approx([40, 40], abs=8)
        shares = targets[parts[1]].sum(0)[:3] / targets.sum(0)[:3]
        assert shares == pytest.approx([0.1] * 3, abs=0.03)


def test_another_seed_is_another_split() -> None:
    targets = (np.random.default_rng(0).random((60, 3)) < 0.4).astype(np.uint8)
    first, second = (iterative_split(targets, (0.2,), seed=seed)[1] for seed in (0, 1))
    assert not np.array_equal(first, second)
