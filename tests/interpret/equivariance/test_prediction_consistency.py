"""The consistency of predictions equals that of crops cut by hand; rolled images are never used."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.interpret.equivariance.crop_pairs import prediction_consistency
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.5,), (0.25,))


def images(count=30, side=12, **settings):
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 1), np.uint8)
    return ImageSet(pixels, np.arange(count) % 3, [f"image {row}" for row in range(count)], **settings)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


def replays(side):
    found = network()
    found(torch.zeros(1, 1, side, side))
    return Replays(found, name="net"), found.eval()


@pytest.mark.parametrize(("crop", "padding"), [((8, 8), 0), ((12, 12), 2), ((10, 12), 2)])
def test_it_is_the_share_of_crops_cut_by_hand(crop, padding):
    torch.manual_seed(0)
    found = nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(24, 3)
    )
    data = images()
    measured = prediction_consistency(
        Replays(found, name="net"), data, PLAIN, crop=crop, farthest=4, seed=3, batch_size=7
    )
    height, width = crop
    margins = [max(0, side + 4 - 12) for side in crop]
    padded = np.pad(data.images, [(0, 0), *((m // 2, m - m // 2) for m in margins), (0, 0)], mode="reflect")
    corner = [(padded.shape[1] - height - 4) // 2, (padded.shape[2] - width - 4) // 2]
    classes, chances = [], []
    for row in range(30):
        of_pair = []
        for y, x in measured.offsets[row] + corner:
            crops = padded[row : row + 1, y : y + height, x : x + width]
            of_pair.append(found(to_floats(crops, PLAIN)).double().softmax(1)[0].detach())
        classes.append([int(one.argmax()) for one in of_pair])
        chances.append([float(one[classes[-1][0]]) for one in of_pair])
    assert measured.predicted.tolist() == classes and measured.mirrored == bool(padding)
    np.testing.assert_allclose(measured.probabilities, chances, atol=1e-6)
    same = np.array([first == second for first, second in classes])
    assert measured.consistency == pytest.approx(same.mean())
    right = np.array([pair[0] for pair in classes]) == data.labels
    assert measured.flips == pytest.approx((~same[right]).mean())
    assert set(np.unique(measured.offsets)) <= set(range(5)) and measured.distances.max() <= 4


def test_a_network_of_means_over_a_constant_image_is_consistent():
    found = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 3))
    data = ImageSet(np.full((5, 16, 16, 1), 9, np.uint8), np.zeros(5, np.int64), list("abcde"))
    measured = prediction_consistency(Replays(found, name="net"), data, PLAIN)
    assert measured.consistency == 1 and measured.probability_change == pytest.approx(0) and measured.farthest == 2


def test_it_is_decided_by_its_seed_and_independent_of_the_batch():
    run, _ = replays(12)
    first, second, other = (
        prediction_consistency(run, images(), PLAIN, farthest=3, seed=seed, batch_size=size)
        for seed, size in ((1, 4), (1, 30), (2, 30))
    )
    assert np.array_equal(first.offsets, second.offsets) and np.array_equal(first.predicted, second.predicted)
    assert not np.array_equal(first.offsets, other.offsets)


def test_the_record_has_its_forms_and_an_interrupt_leaves_what_is_there():
    run, _ = replays(12)

    def stop(done, total, what):
        if done >= 20:
            raise KeyboardInterrupt

    found = prediction_consistency(
        run, images(), PLAIN, farthest=3, batch_size=10, data="photos", classes=("a", "b", "c"), progress=stop
    )
    assert found.images == 20 and found.planned == 30 and "interrupted: 20 of 30 images" in str(found)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["consistency"] == found.consistency
    assert sum(row["images"] for row in written["by_distance"]) == 20
    assert found.arrays()["predicted"].shape == (20, 2) and "<svg" in found.svg and "photos" in found.headline()


def test_bad_input_is_one_line():
    run, _ = replays(12)
    with pytest.raises(DataError, match="no images"):
        prediction_consistency(run, images(0), PLAIN)
    with pytest.raises(DataError, match="several labels"):
        prediction_consistency(run, images(targets=np.ones((30, 3), np.uint8)), PLAIN)
    with pytest.raises(DataError, match="give a smaller one"):
        prediction_consistency(run, images(), PLAIN, crop=(16, 16))
    pixel = ImageSet(np.zeros((3, 1, 1, 1), np.uint8), np.arange(3), list("abc"))
    with pytest.raises(DataError, match="images of 1x1 have no two crops that are apart"):
        prediction_consistency(run, pixel, PLAIN)
    with pytest.raises(DataError, match="give 1 to 11"):
        prediction_consistency(run, images(), PLAIN, farthest=12)
