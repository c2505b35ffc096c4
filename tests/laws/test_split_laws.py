"""Splits: complete, disjoint, stratified, and decided by labels and seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.data.split import stratified_split
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
