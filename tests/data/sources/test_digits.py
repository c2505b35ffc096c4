"""The built-in digits work with nothing at all."""

import numpy as np
from sklearn import datasets

from convscope.data.batches import Batches, measure_normalization
from convscope.data.open import open_dataset, probe
from convscope.data.records import Decoding
from convscope.data.sources.digits import load_digits


def test_the_digits_are_scikit_learns() -> None:
    pixels, labels = load_digits()
    ink, expected = datasets.load_digits(return_X_y=True)
    assert np.array_equal(pixels.reshape(1797, 64), np.rint(ink * (255 / 16))) and np.array_equal(labels, expected)
    assert pixels.dtype == np.uint8 and labels.dtype == np.int64


def test_digits_open_as_three_stratified_splits() -> None:
    dataset = open_dataset("digits", decoding=Decoding(size=(32, 32), channels=1), seed=0)
    assert sum(dataset.counts.values()) == 1797
    assert dataset.classes == tuple("0123456789")
    for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        counts = np.array(list(dataset.class_counts(split).values()))
        assert abs(counts - 179.7 * share).max() < 5
    assert dataset.train is not None and dataset.train.images.shape[1:] == (32, 32, 1)


def test_the_split_is_decided_by_the_seed_alone() -> None:
    names = [open_dataset("digits", seed=seed).splits["test"].names for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_probe_tells_size_and_channels() -> None:
    found = probe("digits")
    assert (found.image_size, found.channels, len(found.classes)) == ((8, 8), 1, 10)


def test_a_batch_is_normalised_and_complete() -> None:
    train = open_dataset("digits").splits["train"]
    normalization = measure_normalization(train)
    batches = Batches(train, batch_size=100, shuffle=True, seed=3, normalization=normalization)
    seen, total = [], 0.0
    for images, labels, indices in batches:
        assert images.shape[1:] == (1, 8, 8) and len(labels) == len(images)
        seen.extend(indices.tolist())
        total += float(images.double().sum())
    assert sorted(seen) == list(range(len(train))) and seen != sorted(seen)
    assert abs(total / (len(train) * 64)) < 1e-5
