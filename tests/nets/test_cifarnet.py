"""CifarNet and its fitted first layer: what whitening promises, and what the network starts as."""

from __future__ import annotations

import pytest
import torch

from convscope.errors import GeometryError
from convscope.nets.cifarnet import BIAS_RATE, TRUNK, cifarnet
from convscope.nets.layer_groups import HasParamGroups, Whitened
from convscope.nets.whiten import REGULARIZATION, Whitening, whitening_filters


def photographs(count: int = 64, channels: int = 3, side: int = 16) -> torch.Tensor:
    """Noise whose neighbours are alike, as in a photograph."""
    noise = torch.randn(count, channels, side + 4, side + 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(noise, 5, 1) * 5


def test_whitened_patches_are_uncorrelated_and_of_one_variance_largest_first():
    images = photographs()
    filters = whitening_filters(images, 3, 10)
    answers = torch.nn.functional.conv2d(images.double(), filters.double()).transpose(0, 1).flatten(1)
    second_moments = answers @ answers.T / answers.shape[1]
    variances = (
        torch.nn.functional.conv2d(
            images.double(), filters.double() / filters.double().flatten(1).norm(dim=1)[:, None, None, None]
        )
        .square()
        .mean((0, 2, 3))
    )
    assert torch.allclose(second_moments, torch.diag(variances / (variances + REGULARIZATION)), atol=1e-4)
    assert bool((variances[:-1] >= variances[1:]).all())


def test_each_direction_comes_with_both_signs_and_there_are_no_more_than_a_patch_has_numbers():
    layer = Whitening(1, 32, 4, stride=2, padding=1)
    assert layer.weight.shape == (32, 1, 4, 4)
    layer.fit(photographs(channels=1))
    assert torch.equal(layer.weight[:16], -layer.weight[16:])
    assert [name for name, _ in layer.named_parameters()] == ["bias"]


def test_images_without_a_whole_patch_are_refused():
    with pytest.raises(GeometryError, match="hold no patch of 4x4"):
        whitening_filters(torch.zeros(1, 3, 3, 8), 4, 2)


def test_filters_start_as_the_identity():
    stage = cifarnet().stage4
    maps = torch.rand(2, TRUNK[-1].channels, 4, 4)
    assert torch.equal(stage.rest.conv2(maps), maps)


@pytest.mark.parametrize(("channels", "side"), [(1, 9), (3, 32), (3, 41)])
def test_takes_any_size_and_one_or_three_channels(channels: int, side: int):
    network = cifarnet(num_classes=4, in_channels=channels)
    assert isinstance(network, Whitened)
    network.fit_whitening(photographs(channels=channels))
    assert network(torch.rand(2, channels, side, side)).shape == (2, 4)


def test_every_parameter_but_a_filter_has_a_pace_and_every_filter_any_scale():
    network = cifarnet()
    assert isinstance(network, HasParamGroups)
    param_groups, filters = network.param_groups(), network.scale_free()
    assert param_groups.keys() | filters == {name for name, _ in network.named_parameters()}
    assert not param_groups.keys() & filters
    assert param_groups["whiten.bias"].until < 1 and param_groups["stage1.norm1.bias"].rate == BIAS_RATE
    images = torch.rand(8, 3, 16, 16)
    before = network(images)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name in filters:
                weight.mul_(3)
    assert torch.allclose(network(images), before, atol=1e-4)


def test_classifier_weights_have_the_deviation_of_one_over_the_width():
    fc = cifarnet().fc
    assert float(fc.weight.detach().std()) == pytest.approx(1 / fc.in_features)
