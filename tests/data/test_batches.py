"""Batches: every row once, in an order of (seed, epoch) alone, as normalised floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from convscope.data.batches import Batches, measure_normalization, to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet, Rows
from convscope.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (53, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(53) % 7
SET = ImageSet(PIXELS, LABELS, [str(row) for row in range(53)])


def order(batches: Batches) -> list[int]:
    return [row for _, _, rows in batches for row in rows.tolist()]


def test_the_order_is_of_the_seed_and_the_epoch() -> None:
    batches = Batches(SET, batch_size=10, shuffle=True, seed=4, epoch=2)
    assert sorted(order(batches)) == list(range(53))
    assert order(batches) == order(replace(batches, batch_size=7)) == order(batches)
    assert order(batches) != order(replace(batches, epoch=3)) != order(replace(batches, seed=5))
    assert order(replace(batches, shuffle=False)) == list(range(53))


def test_lengths_with_a_last_batch_of_its_own_and_joined() -> None:
    batches = Batches(SET, batch_size=10)
    assert len(batches) == 6 and [len(labels) for _, labels, _ in batches] == [10] * 5 + [3]
    joined = replace(batches, batch_size=13, join_single=True)
    assert len(joined) == 4 and [len(labels) for _, labels, _ in joined] == [13] * 3 + [14]
    assert [joined.size_of(batch) for batch in range(4)] == [13] * 3 + [14]


def test_pixels_labels_and_indices_belong_together() -> None:
    for images, labels, rows in Batches(SET, batch_size=10, shuffle=True):
        assert images.shape[1:] == (3, 6, 5) and images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        expected = torch.from_numpy(PIXELS[rows.numpy()]).permute(0, 3, 1, 2) / 255
        assert torch.allclose(images, expected, atol=1e-7)
        assert torch.equal(labels, torch.from_numpy(LABELS[rows.numpy()]))


def test_rows_of_a_larger_array_are_the_same_as_a_copy() -> None:
    chosen = np.array([50, 3, 3, 17])
    view = ImageSet(Rows(PIXELS, chosen), LABELS[chosen], list("abcd"))
    copy = ImageSet(PIXELS[chosen], LABELS[chosen], list("abcd"))
    for (one, _, _), (other, _, _) in zip(Batches(view, batch_size=3), Batches(copy, batch_size=3), strict=True):
        assert torch.equal(one, other)
    assert np.array_equal(np.asarray(view.images), copy.images)
    assert np.array_equal(view.images[1:3], copy.images[1:3]) and np.array_equal(view.images[-1], copy.images[-1])
    assert measure_normalization(view) == measure_normalization(copy)


def test_normalised_images_have_mean_0_and_deviation_1() -> None:
    floats = to_floats(PIXELS, measure_normalization(SET)).double()
    assert torch.allclose(floats.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(floats.std((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64), atol=1e-6)


def test_a_constant_channel_gives_no_nan() -> None:
    flat = ImageSet(np.full((4, 2, 2, 1), 9, np.uint8), np.zeros(4, np.int64), list("abcd"))
    normalization = measure_normalization(flat)
    assert normalization.std == (1.0,)
    assert bool((to_floats(flat.images[:], normalization).abs() < 1e-6).all())


def test_read_only_pixels_are_taken() -> None:
    locked = PIXELS.copy()
    locked.flags.writeable = False
    assert to_floats(locked[:4], Normalization((0.0,) * 3, (1.0,) * 3)).shape == (4, 3, 6, 5)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="batch size 0"):
        Batches(SET, batch_size=0)
