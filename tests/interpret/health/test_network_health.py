"""Dead and saturated units, effective rank and norms equal those of all values at once."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError
from convscope.interpret.health.network_health import network_health
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.0,), (1.0,))


def images(count=40, side=8):
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 1), np.uint8)
    return ImageSet(pixels, np.zeros(count, np.int64), [f"{i}" for i in range(count)])


def network():
    torch.manual_seed(1)
    found = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 5),
        nn.Sigmoid(), nn.Linear(5, 2),
    )  # fmt: skip
    with torch.no_grad():
        found[0].bias[:2] = -100.0  # two channels are 0 for every image
        found[2].weight.mul_(100)
    return found


def test_it_equals_the_measures_of_all_values_at_once():
    model, data = network(), images()
    found = {each.layer: each for each in network_health(Replays(model, name="net"), data, PLAIN).layers}
    assert list(found) == ["1", "3", "6"]
    with torch.no_grad():
        values = to_floats(data.images, PLAIN)
        for number, layer in enumerate(model):
            values = layer(values)
            if str(number) not in found:
                continue
            health = found[str(number)]
            matrix = values.movedim(1, -1).flatten(0, -2).double().numpy()
            singular = np.linalg.svd(matrix, compute_uv=False)
            shares = singular[singular > 1e-12 * singular[0]] / singular.sum()
            assert health.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-4)
            assert health.root_mean_square == pytest.approx(np.sqrt((matrix**2).mean()), rel=1e-5)
            assert health.dead == tuple(np.flatnonzero((matrix == 0).all(0)))
            assert health.units == matrix.shape[1] and health.not_finite == 0
            if health.op == "tanh":
                assert health.saturated == pytest.approx((np.abs(matrix) > 0.97).mean())
            elif health.op == "sigmoid":
                assert health.saturated == pytest.approx(((matrix < 0.03) | (matrix > 0.97)).mean())
            else:
                assert health.saturated is None
    assert found["1"].dead == (0, 1) and found["1"].dead_share == pytest.approx(1 / 3)
    assert found["3"].saturated > 0.5


def test_a_unit_is_dead_over_all_images_not_over_a_batch():
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([1.0, -1.0])[:, None, None, None]
    pixels = np.zeros((100, 4, 4, 1), np.uint8)
    for row in (0, 50, 99):  # in the first, a middle and the last batch alone
        one = pixels.copy()
        one[row, 1, 2] = 1
        given = ImageSet(one, np.zeros(100, np.int64), [""] * 100)
        assert network_health(Replays(model), given, PLAIN, layers=["1"]).layers[0].dead == (1,)


def test_it_is_shown_and_drawn():
    found = network_health(Replays(network(), name="net"), images(), PLAIN, data="noise")
    assert "dead in 1: 0 for every image" in str(found) and "saturated in 3" in str(found)
    assert "effective rank, of the units" in found.figure().markup()
    assert found.to_dict()["layers"][0]["dead"] == [0, 1]
    assert found.headline().startswith("net on 40 images of noise: 2 of 15 units dead (13.3 %)")


def test_without_activations_layers_with_weights_are_measured():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(108, 2))
    assert [each.layer for each in network_health(Replays(model), images(), PLAIN).layers] == ["0", "2"]
    with pytest.raises(CaptureError, match="neither activations nor layers with weights"):
        network_health(Replays(nn.Flatten()), images(), PLAIN)
    with pytest.raises(DataError, match="no images in nothing"):
        network_health(Replays(model), images(0), PLAIN, data="nothing")


def test_numbers_that_are_not_finite_are_counted():
    model = network()
    with torch.no_grad():
        model[0].weight[3, 0, 0, 0] = float("nan")
    found = network_health(Replays(model), images(), PLAIN).layers[0]
    assert found.not_finite == 40 * 36 and np.isfinite(found.root_mean_square) and 3 not in found.dead


def test_numbers_that_are_not_finite_are_not_saturated():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(72, 2))
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = float("nan")
        model[0].weight[1].zero_()
        model[0].bias.zero_()
    (found,) = network_health(Replays(model), images(), PLAIN).layers
    assert found.not_finite == 40 * 36 and found.saturated == 0


def test_interrupted_it_is_of_what_was_gone_through():
    def interrupt(done, total, what):
        raise KeyboardInterrupt

    found = network_health(Replays(network()), images(), PLAIN, progress=interrupt)
    assert found.images == 32 and "interrupted: 32 of 40 images" in str(found)


class OfTokens(nn.Module):
    """Three channels at each position, then a fully connected layer over them, as in a block of ConvNeXt."""

    def __init__(self):
        super().__init__()
        self.conv, self.wide, self.act = nn.Conv2d(1, 3, 3), nn.Linear(3, 12), nn.ReLU()
        with torch.no_grad():
            self.wide.bias[:] = torch.tensor([-100.0] * 5 + [100.0] * 7)

    def forward(self, x):
        return self.act(self.wide(self.conv(x).permute(0, 2, 3, 1))).mean((1, 2))


def test_units_of_a_layer_over_positions_are_its_channels():
    (found,) = network_health(Replays(OfTokens(), name="net"), images(), PLAIN).layers
    assert found.units == 12 and found.dead == (0, 1, 2, 3, 4)
