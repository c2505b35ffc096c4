"""Feature maps: torch's own numbers, ranked by what they are said to be ranked by, drawn on one scale."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.features.channel_means import ChannelMeans
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.features.observed import observed_layers
from convscope.interpret.features.random_convolution import random_convolution
from convscope.interpret.subject import Subject, subject


def test_maps_are_the_networks_own_at_every_call_of_a_module(network, image):
    with torch.inference_mode():
        first = network.norm(network.first(image.tensor)).relu()
        second = (network.second(first) + first).relu()
    for name, expected in (("relu", first), ("relu#2", second), ("first", network.first(image.tensor))):
        found = feature_maps(image, name)
        assert np.array_equal(found.maps, expected[0].detach().double().numpy())


def test_layers_that_are_looked_at_are_what_the_next_layer_reads(image):
    found = observed_layers(image.replay.names)
    assert [(one.name, one.channels, one.positions) for one in found] == [
        ("relu", 6, (8, 6)), ("second", 6, (8, 6)), ("relu#2", 6, (8, 6)), ("narrow", 10, (8, 6)), ("head", 4, ()),
    ]  # fmt: skip


def test_energy_contribution_and_gradient_rank_as_defined(network, image):
    energy = feature_maps(image, "narrow", ranking="energy")
    assert np.allclose(energy.measures, np.square(energy.maps).mean((1, 2)))
    assert list(energy.order) == sorted(range(10), key=lambda one: -energy.measures[one])
    # After `narrow` the network is linear: leaving a channel out is what the gradient says, exactly.
    target = 2
    taken = network.head.weight[target].detach().double().numpy() * energy.maps.mean((1, 2))
    for ranking in ("contribution", "gradient"):
        found = feature_maps(image, "narrow", ranking=ranking, target=target)
        assert np.allclose(found.measures, taken, atol=1e-6)
        assert found.target == "class 2"
        assert list(found.order) == sorted(range(10), key=lambda one: -abs(found.measures[one]))


def test_a_contribution_is_the_fall_of_the_score_without_the_channel(network, image):
    found = feature_maps(image, "relu", ranking="contribution", target=1)
    with torch.inference_mode():
        first = network.norm(network.first(image.tensor)).relu()

        def score(values: torch.Tensor) -> float:
            return float(network.head(network.narrow((network.second(values) + values).relu()).mean((2, 3)))[0, 1])

        for channel in range(6):
            without = first.clone()
            without[:, channel] = 0
            assert found.measures[channel] == pytest.approx(score(first) - score(without), abs=1e-5)


def test_a_contribution_by_the_mean_puts_the_mean_in_place_of_the_channel(network, image):
    means = ChannelMeans(values=np.linspace(0.1, 0.9, 6), data="noise")
    found = feature_maps(image, "relu", ranking="contribution", target=1, means=means)
    by_zero = feature_maps(image, "relu", ranking="contribution", target=1)
    assert np.array_equal(found.at_zero, by_zero.measures) and by_zero.at_zero is None and found.means_of == "noise"
    with torch.inference_mode():
        first = network.norm(network.first(image.tensor)).relu()

        def score(values: torch.Tensor) -> float:
            return float(network.head(network.narrow((network.second(values) + values).relu()).mean((2, 3)))[0, 1])

        for channel in range(6):
            without = first.clone()
            without[:, channel] = means.values[channel]
            assert found.measures[channel] == pytest.approx(score(first) - score(without), abs=1e-5)
    assert "when the channel is replaced by its mean over noise" in str(found) and "by zero " in str(found)
    assert set(found.arrays()) == {"maps", "measures", "measures_at_zero", "order"}


def test_pages_channels_and_scales(image):
    found = feature_maps(image, "narrow", ranking="order", page=3, per_page=4)
    assert found.shown == (8, 9) and found.pages == 3
    assert feature_maps(image, "narrow", channels=(7, 0)).shown == (7, 0)
    assert "2 of 10 channels, page 3 of 3, by number" in found.figure().description
    ranked = feature_maps(image, "narrow", ranking="contribution", target=3)
    assert "by contribution: the fall of the score of class 3" in str(ranked)
    for scale in ("map", "layer", "network"):
        document = feature_maps(image, "relu", scale=scale).figure().document()
        assert document.count("<image") == 1 + 6 + (scale != "map")
    wide = feature_maps(image, "relu", scale="network")
    assert wide.network_range[0] <= wide.maps.min() and wide.network_range[1] >= wide.maps.max()


def test_a_vector_is_bars(image):
    found = feature_maps(image, "head")
    assert found.is_vector and found.figure().document().count("<path") >= 1
    assert found.to_dict()["shape"] == [4]
    # The picture shows all units, whatever a page of maps holds.
    paged = feature_maps(image, "head", per_page=3)
    assert paged.pages == 2 and "page" not in str(paged)


def test_the_model_is_left_as_it_was(network, image):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    state = torch.get_rng_state()
    feature_maps(image, "relu", ranking="contribution")
    feature_maps(image, "relu", ranking="gradient")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert modes == [module.training for module in network.modules()] and torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_maps_that_are_not_finite_are_said_and_ranked_first(image):
    with torch.no_grad():
        image.network.narrow.bias[3] = float("nan")
    found = feature_maps(image, "narrow")
    assert found.order[0] == 3 and any("not finite" in note for note in found.notes)
    assert "48 of 48 not finite" in str(found) or "no finite value" in str(found)
    assert found.to_dict()["channels"][0]["least"] is None


@pytest.mark.parametrize(("arguments", "message"), [
    ({"layer": "realu"}, "no layer 'realu'. Did you mean"),
    ({"page": 9}, "page 9"),
    ({"channels": (77,)}, "0 to 5: 77 is none of them"),
    ({"ranking": "enrgy"}, "Did you mean energy"),
    ({"scale": "lyer"}, "Did you mean layer"),
    ({"ranking": "gradient", "target": 7}, "no class 7"),
])  # fmt: skip
def test_bad_input_is_one_line(image, arguments, message):
    with pytest.raises((CaptureError, GeometryError), match=message) as caught:
        feature_maps(image, **{"layer": "relu", **arguments})
    assert "\n" not in str(caught.value)


def test_networks_without_convolution_of_one_and_three_dimensions_and_of_tokens():
    linear = Subject(network=nn.Linear(5, 3), name="l", image_name="x", tensor=torch.randn(1, 5))
    assert feature_maps(linear).maps.shape == (3,)
    with pytest.raises(GeometryError, match="no convolution and no linear layer"):
        feature_maps(Subject(network=nn.Flatten(), name="f", image_name="x", tensor=torch.randn(1, 2, 3)))
    sound = Subject(network=nn.Conv1d(1, 4, 5), name="s", image_name="x", tensor=torch.randn(1, 1, 30))
    assert feature_maps(sound).figure().document().count("<path") >= 4
    volume = Subject(network=nn.Conv3d(1, 4, 3), name="v", image_name="x", tensor=torch.randn(1, 1, 6, 7, 8))
    assert any("middle slice" in note for note in feature_maps(volume).notes)
    tokens = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(2), Tokens(), nn.Linear(8, 5), nn.GELU())
    found = feature_maps(Subject(network=tokens, name="t", image_name="x", tensor=torch.randn(1, 3, 16, 16)), "4")
    assert found.maps.shape == (5, 16)


class Tokens(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


def test_grey_and_small_images_are_fitted_as_for_prediction():
    grey = subject("alexnet-mini", np.full((9, 7), 80, np.uint8))
    assert grey.tensor.shape[1] == 3 and len(feature_maps(grey).maps) > 1


def test_a_random_layer_needs_no_model():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    found = random_convolution(pixels, "8x3x3", size=40)
    assert found.maps.shape == (8, 38, 38) and found.shown == tuple(range(8))
    again, other = random_convolution(pixels, "8x3x3", size=40), random_convolution(pixels, "8x3", size=40, seed=1)
    assert np.array_equal(found.maps, again.maps) and not np.array_equal(found.maps, other.maps)
    rectified = random_convolution(pixels, "8x3x3", size=40, relu=True)
    assert np.array_equal(rectified.maps, np.maximum(found.maps, 0))
    assert random_convolution(pixels, "2x1x5", size=40, grey=True).maps.shape == (2, 40, 36)


@pytest.mark.parametrize("kernels", ["8", "0x3x3", "8x0", "8x3x3x3", "eight", "99999x3x3", "8x64x64", ""])
def test_kernels_that_are_no_kernels_are_refused(kernels):
    with pytest.raises(GeometryError, match=r"8x3x3|filters"):
        random_convolution(np.zeros((9, 9, 3), np.uint8), kernels)


def test_a_photograph_that_is_not_there_is_one_line():
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        random_convolution("nowhere.jpg")


def test_a_contribution_of_frames_taken_for_images_is_that_of_a_channel_of_all_of_them():
    class OfFrames(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

        def forward(self, x, without=None):
            maps = self.conv(x.transpose(0, 1))  # the frames first, then the images
            if without is not None:
                maps[:, without] = 0
            return self.head(torch.relu(maps).mean((2, 3)).mean(0, keepdim=True))

    network, tensor = OfFrames(), torch.randn(1, 3, 8, 8)
    image = Subject(network=network, name="net", image_name="noise", tensor=tensor)
    found = feature_maps(image, "conv", ranking="contribution", target=1)
    assert found.notes == ("conv has 3 maps of one image along its first axis, such as tokens or frames: the first is "
                           "shown",)  # fmt: skip
    with torch.no_grad():
        expected = [float(network(tensor)[0, 1] - network(tensor, without=channel)[0, 1]) for channel in range(4)]
    np.testing.assert_allclose(found.measures, expected, rtol=1e-4, atol=1e-6)
