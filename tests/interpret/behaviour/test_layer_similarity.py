"""CKA of a layer with itself is 1, whatever it is turned or scaled by; the estimator is the papers', by definition."""

import json
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError
from convscope.interpret.behaviour.layer_similarity import layer_similarity
from convscope.interpret.behaviour.linear_cka import LinearCka, gram
from convscope.interpret.behaviour.other_network import OtherNetwork
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.5,), (0.25,))


def images(count: int = 40) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), np.uint8)
    return ImageSet(pixels, np.zeros(count, np.int64), [""] * count)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(144, 6), nn.Tanh(),
                         nn.Linear(6, 3)).eval()  # fmt: skip


def cka(first: torch.Tensor, second: torch.Tensor, size: int = 1000) -> float:
    found = LinearCka(("a",), ("b",))
    for one, other in zip(first.split(size), second.split(size), strict=True):
        found.add({"a": gram(one)}, {"b": gram(other)})
    return float(found.similarity[0, 0])


def test_the_estimator_is_the_u_statistic_of_hsic() -> None:
    # Song et al. 2012, theorem 5: the mean over all ordered quadruples of different images.
    torch.manual_seed(0)
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    k, l_matrix = (x @ x.T).numpy(), (y @ y.T).numpy()

    def h(a: np.ndarray, b: np.ndarray) -> float:
        found = [a[i, j] * (b[i, j] + b[q, r] - 2 * b[i, q]) for i, j, q, r in permutations(range(6), 4)]
        return float(np.mean(found))

    expected = h(k, l_matrix) / np.sqrt(h(k, k) * h(l_matrix, l_matrix))
    assert cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_it_is_1_for_turned_and_scaled_values_and_not_for_others() -> None:
    torch.manual_seed(0)
    values = torch.randn(96, 12, dtype=torch.float64) @ torch.diag(torch.linspace(3, 0.1, 12, dtype=torch.float64))
    turn = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))[0]
    assert cka(values, values) == pytest.approx(1, abs=1e-9)
    assert cka(values, values @ turn * 7 + 3) == pytest.approx(1, abs=1e-9)
    assert cka(values, values @ turn * 7 + 3, size=16) == pytest.approx(1, abs=1e-9)
    assert cka(values, values @ torch.randn(12, 12, dtype=torch.float64)) < 0.95
    assert abs(cka(values, torch.randn(96, 12, dtype=torch.float64))) < 0.15


def test_batches_estimate_what_all_images_at_once_do() -> None:
    torch.manual_seed(0)
    values = torch.randn(512, 20, dtype=torch.float64)
    other = values @ torch.randn(20, 20, dtype=torch.float64) + torch.randn(512, 20, dtype=torch.float64)
    assert cka(values, other, size=32) == pytest.approx(cka(values, other), abs=0.05)


def test_layers_of_a_network_with_itself_and_with_another_seed() -> None:
    replays = Replays(network(), name="net")
    own = layer_similarity(replays, replays, images(), PLAIN, batch_size=16)
    assert own.rows == own.columns == ("1", "4", "5") and own.images == 40
    np.testing.assert_allclose(own.similarity.diagonal(), 1, atol=1e-9)
    np.testing.assert_allclose(own.similarity, own.similarity.T, atol=1e-12)
    assert own.nearest == own.rows
    twin = layer_similarity(replays, Replays(network(), name="twin"), images(), PLAIN, batch_size=16)
    np.testing.assert_allclose(twin.similarity, own.similarity, atol=1e-12)
    other = layer_similarity(replays, Replays(network(1), name="other"), images(), PLAIN, layers=("0", "4"),
                             second_layers=("5",), data="noise")  # fmt: skip
    assert other.similarity.shape == (2, 1) and other.similarity.max() < 0.99
    assert "net and other" in other.headline() and "<svg" in other.svg and "noise" in str(other)
    json.dumps(other.to_dict(), allow_nan=False)


def test_a_layer_that_is_the_same_for_all_images_is_not_compared() -> None:
    still = network()
    with torch.no_grad():
        still[3].weight[:] = 0
    replays = Replays(still, name="still")
    found = layer_similarity(replays, replays, images(), PLAIN)
    assert np.isnan(found.similarity[1:]).all() and found.similarity[0, 0] == pytest.approx(1)
    assert found.nearest[1] is None and "same for all images" in str(found) and "<svg" in found.svg


def test_a_layer_that_is_not_comparable_is_named_once() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Threshold(1e9, 2.5), nn.Flatten(), nn.Linear(72, 3))
    replays = Replays(model)
    found = layer_similarity(replays, replays, images(8), PLAIN, layers=["0", "1"])
    assert [*found.remarks()] == ["the same for all images, or not finite, so not comparable: 1"]


def test_bad_input_is_one_line_and_small_rests_are_left_out() -> None:
    replays = Replays(network())
    with pytest.raises(DataError, match="at least 4"):
        layer_similarity(replays, replays, images(3), PLAIN)
    with pytest.raises(DataError, match="a batch of 2"):
        layer_similarity(replays, replays, images(), PLAIN, batch_size=2)
    with pytest.raises(CaptureError):
        layer_similarity(replays, replays, images(), PLAIN, layers=("9",))
    assert layer_similarity(replays, replays, images(10), PLAIN, batch_size=8).images == 8


def test_a_network_for_another_size_is_named_with_both() -> None:
    fits, other = (
        OtherNetwork(replays=Replays(network(), name="other"), preprocessing=Preprocessing.default((1, side, side)))
        for side in (8, 16)
    )
    fits.require_size(images(), data="noise")
    with pytest.raises(DataError, match=r"other takes images of 1×16×16 .* of noise are 8×8×1"):
        other.require_size(images(), data="noise")


def test_networks_without_weights_or_of_constants_are_said() -> None:
    pools = Replays(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), name="pools")
    with pytest.raises(CaptureError, match="pools has no layer with weights to compare"):
        layer_similarity(pools, pools, images(), PLAIN)
    still = network()
    with torch.no_grad():
        for parameter in still.parameters():
            parameter.zero_()
    found = layer_similarity(Replays(still, name="still"), Replays(network(1), name="other"), images(), PLAIN)
    assert found.headline() == "still and other: CKA unknown of the last layers"
    replays = Replays(still, name="still")
    alone = layer_similarity(replays, replays, images(), PLAIN)
    assert alone.headline() == "still: CKA unknown of all pairs of layers"
