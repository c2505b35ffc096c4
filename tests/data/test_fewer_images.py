"""An upper limit of training images: each class keeps its share, groups stay whole, the seed of the split decides."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.data.memory.source import list_memory
from convscope.data.open import Probe, open_dataset, probe
from convscope.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
LABELS = np.repeat([0, 1, 2], [200, 80, 20])


def test_classes_keep_their_shares_and_the_seed_decides() -> None:
    whole = Probe(list_memory({"train": (PIXELS, LABELS), "test": (PIXELS[:30], LABELS[:30] * 0 + np.arange(30) % 3)}))
    few = whole.with_fewer(60, test_fraction=0.1, seed=1)
    assert few.counts == {"train": 60, "test": 30}
    assert few.listing.class_counts(few.listing.rows_of("train")).tolist() == [40, 16, 4]
    again, other = (whole.with_fewer(60, test_fraction=0.1, seed=seed) for seed in (1, 2))
    assert again.listing.names == few.listing.names != other.listing.names
    assert "60 images of 300" in few.listing.notes[-1]
    opened = open_dataset(few, validation_fraction=0.1, seed=1)
    assert opened.train is not None and opened.val is not None
    assert len(opened.train) + len(opened.val) == 60
    names = dict(zip(whole.listing.names, PIXELS, strict=False))
    assert np.array_equal(np.asarray(opened.train.images[3]), names[opened.train.names[3]])


@pytest.mark.parametrize("most", [30, 31, 77, 200])
def test_there_are_never_more(most: int) -> None:
    found = probe("digits")
    few = found.with_fewer(most, test_fraction=0.0, seed=0)
    assert most - 10 <= few.counts["all"] <= most
    opened = open_dataset(few, validation_fraction=0.1, test_fraction=0.0, seed=0)
    assert opened.counts["train"] + opened.counts["val"] <= most


def test_all_stay_where_there_are_no_more() -> None:
    found = probe("digits")
    assert found.with_fewer(0, test_fraction=0.1, seed=0).listing is found.listing
    assert found.with_fewer(5_000, test_fraction=0.1, seed=0).listing is found.listing


def test_too_few_are_refused() -> None:
    with pytest.raises(DataError, match="train_images 12: 10 classes need 20 images or more"):
        probe("digits").with_fewer(12, test_fraction=0.1, seed=0)


def test_groups_stay_whole() -> None:
    groups = [f"g{number // 5}" for number in range(300)]
    whole = Probe(list_memory((PIXELS, np.arange(300) % 3, groups)))
    few = whole.with_fewer(90, test_fraction=0.0, seed=0)
    assert few.listing.groups is not None and few.counts["all"] <= 90
    numbers, counts = np.unique(few.listing.groups.numbers, return_counts=True)
    assert set(counts) == {5} and len(numbers) == few.counts["all"] // 5


def test_groups_that_are_too_large_are_refused_at_once() -> None:
    groups = [f"g{number // 100}" for number in range(300)]
    whole = Probe(list_memory((PIXELS, np.arange(300) % 3, groups)))
    with pytest.raises(
        DataError, match=r"train_images 20: groups by .* are not parted, and the smallest has 100 images"
    ):
        whole.with_fewer(20, test_fraction=0.0, seed=0)
    sizes = [0] * 150 + list(range(1, 151))  # a group of half the images, and one for each other
    labels = [number % 2 for number in range(150)] + [number % 3 for number in range(150)]
    whole = Probe(list_memory((PIXELS, labels, sizes)))
    few = whole.with_fewer(60, test_fraction=0.0, seed=0)
    assert few.counts["all"] <= 60 and few.listing.class_counts(few.listing.rows_of("all")).all()


@pytest.mark.parametrize("several", [False, True])
def test_the_only_image_of_a_class_stays(several: bool) -> None:
    labels = np.repeat([0, 1, 2], [200, 99, 1])
    rows = np.eye(3, dtype=np.uint8)[labels]
    rows[:100, 1] = 1
    whole = Probe(list_memory((PIXELS, rows if several else labels)))
    few = whole.with_fewer(50, test_fraction=0.0, seed=0).listing
    assert len(few.labels) <= 50 and few.class_counts(np.arange(len(few.labels)))[2] == 1
    assert "images/299" in few.names
