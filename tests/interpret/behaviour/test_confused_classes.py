"""Channels' shares of the logit difference are exact before a linear head, and the planted channel is named."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.behaviour.confused_classes import confused_classes
from convscope.interpret.behaviour.confusion_record import ConfusedClasses
from convscope.interpret.replay.replays import Replays
from convscope.scoring.confusion_counts import count_confusions

PLAIN = Normalization((0.5,), (0.25,))


def images(count: int = 60, classes: int = 3) -> ImageSet:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (count, 8, 8, 1), np.uint8)
    return ImageSet(pixels, np.arange(count) % classes, [f"image {number}" for number in range(count)])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(6, 3)).eval()  # fmt: skip


def test_shares_are_those_of_the_linear_head() -> None:
    model, data = network(), images()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = confused_classes(Replays(model, name="net"), data, PLAIN, pairs=[("b", 0)], classes=("a", "b", "c"))
    pair = found.pairs[0]
    assert (pair.first, pair.second, found.layer) == (1, 0, "1")
    with torch.no_grad():
        scores = model(to_floats(data.images, PLAIN))
        pooled = model[2](torch.relu(model[0](to_floats(data.images, PLAIN))))[:, :, 0, 0].double().numpy()
    ones, zeros = data.labels == 1, data.labels == 0
    margin = (scores[:, 1] - scores[:, 0]).double().numpy()
    assert pair.margin == pytest.approx(margin[ones].mean() - margin[zeros].mean(), rel=1e-4)
    head = (model[4].weight[1] - model[4].weight[0]).detach().double().numpy()
    difference = pooled[ones].mean(0) - pooled[zeros].mean(0)
    np.testing.assert_allclose(pair.shares, head * difference / pair.margin, rtol=1e-3, atol=1e-5)
    assert pair.accounted == pytest.approx(1, abs=1e-3)
    spread = np.sqrt((pooled[ones].var(0) + pooled[zeros].var(0)) / 2)
    np.testing.assert_allclose(pair.effect, difference / spread, rtol=1e-3)
    predicted = scores.argmax(1).numpy()
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (data.labels, predicted), 1)
    assert found.confusion.tolist() == expected.tolist()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_most_confused_pair_is_first_with_its_images() -> None:
    data = images()
    found = confused_classes(Replays(network(), name="net"), data, PLAIN, pairs=2)
    both = found.confusion + found.confusion.T
    np.fill_diagonal(both, 0)
    assert found.mistakes(found.pairs[0]) == both.max()
    for image in found.pairs[0].wrong:
        row = int(image.name.split()[1])
        assert data.labels[row] == image.label and (image.pixels == data.images[row]).all()
    assert "mistake" in found.headline() and "<svg" in found.svg and "share of the logit" in found.to_html()
    json.dumps(found.to_dict(), allow_nan=False)
    assert "confusion" in found.arrays()


def test_a_planted_channel_is_named() -> None:
    model = network()
    with torch.no_grad():
        model[0].weight[3] = 1 / 9  # the mean level; the classes differ in nothing else
        model[0].bias[3] = 0
    draw = np.random.default_rng(0)
    pixels = draw.integers(100, 120, (40, 8, 8, 1), np.uint8)
    pixels[20:] += 100
    data = ImageSet(pixels, np.arange(40) // 20, [""] * 40)
    with torch.no_grad():
        model[0].weight[[0, 1, 2, 4, 5]] -= model[0].weight[[0, 1, 2, 4, 5]].mean((1, 2, 3), keepdim=True)
    found = confused_classes(Replays(model), data, PLAIN, pairs=[(0, 1)])
    assert found.pairs[0].largest(1) == [3] and found.pairs[0].effect[3] < -10


def test_what_is_not_linear_is_said_and_no_confusion_too() -> None:
    torch.manual_seed(0)
    bent = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 8), nn.Tanh(), nn.Linear(8, 3))
    found = confused_classes(Replays(bent.eval()), images(), PLAIN, pairs=[(0, 1)])
    assert "not linear" in " ".join(str(found).split())
    with torch.no_grad():
        bent[5].weight[:] = 0
        bent[5].bias[:] = torch.tensor([1.0, 0.0, 0.0])
    data = images()
    alone = ImageSet(data.images, np.zeros(60, np.int64), data.names)
    found = confused_classes(Replays(bent), alone, PLAIN)
    assert found.pairs == () and "no pair" in found.headline() and "<svg" in found.svg


def test_images_taken_for_a_class_without_images_make_no_pair() -> None:
    model, data = network(), images()
    with torch.no_grad():
        model[4].weight.zero_()
        model[4].bias[:] = torch.tensor([0.0, 0.0, 1.0])  # all are taken for the third class
    alone = ImageSet(data.images, data.labels % 2, data.names)
    found = confused_classes(Replays(model, name="net"), alone, PLAIN)
    assert found.confusion[:, 2].sum() == 60 and found.pairs == ()
    assert "60 images wrong, all predicted as classes of which there are no images" in found.headline()
    with torch.no_grad():
        model[4].bias[:] = torch.tensor([1.0, 0.0, 0.0])
    found = confused_classes(Replays(model, name="net"), alone, PLAIN)
    assert [(pair.first, pair.second, found.mistakes(pair)) for pair in found.pairs] == [(0, 1, 20)]
    assert "nan" not in str(found) and "the same for both classes" in str(found)


def test_bad_input_is_one_line() -> None:
    replays = Replays(network())
    with pytest.raises(GeometryError, match="twice"):
        confused_classes(replays, images(), PLAIN, pairs=[(1, 1)])
    with pytest.raises(GeometryError, match="no class 7"):
        confused_classes(replays, images(), PLAIN, pairs=[(1, 7)])
    with pytest.raises(GeometryError, match="Did you mean cat"):
        confused_classes(replays, images(), PLAIN, pairs=[("cta", 1)], classes=("cat", "dog"))
    with pytest.raises(DataError, match="no images of class 2"):
        confused_classes(replays, images(classes=2), PLAIN, pairs=[(0, 2)])
    with pytest.raises(CaptureError, match="no layer with a map"):
        confused_classes(Replays(nn.Sequential(nn.Flatten(), nn.Linear(64, 3))), images(), PLAIN)


def test_the_matrix_of_many_classes_is_never_made() -> None:
    labels, predicted = np.array([3, 3, 3, 20_000]), np.array([3, 7, 7, 20_000])
    counts = count_confusions(predicted, labels, classes=21_000)
    assert counts.among(np.array([7, 3])).tolist() == [[0, 0], [2, 1]]
    names = tuple(map(str, range(21_000)))
    found = ConfusedClasses(network="net", data="images", layer="0", classes=names, counts=counts, pairs=())
    assert found.to_dict()["confusion"] is None
    assert {name: values.tolist() for name, values in found.arrays().items()} == {
        "true": [3, 3, 20_000], "predicted": [3, 7, 20_000], "images": [1, 2, 1],
    }  # fmt: skip
    assert "2 images wrong" in str(found.document().blocks[1]) and found.figure().title
    assert "confusion" not in vars(found)
