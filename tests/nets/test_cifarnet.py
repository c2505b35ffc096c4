"""CifarNet and its fitted first layer: what whitening promises, and what the network starts as."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from convscope.errors import GeometryError
from convscope.interpret.inspection.record import inspect
from convscope.nets.catalogue import CIFARNETS, LARGER_INPUTS, find
from convscope.nets.cifarnet import BIAS_RATE, SMALLEST, TRUNKS, cifarnet, fitting_stem_stride
from convscope.nets.initial_weights import draw_initial_weights
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


def test_initial_weights_drawn_anew_are_as_the_first():
    network = cifarnet(size="tiny")
    network.fit_whitening(torch.rand(8, 3, 8, 8))
    assert draw_initial_weights(network, seed=1) == ()
    positive, negative = network.whiten.weight.chunk(2)
    assert torch.equal(positive, -negative) and not network.whiten.bias.any()
    maps = torch.rand(2, TRUNKS["tiny"][-1].channels, 4, 4)
    assert torch.equal(network.stage4.rest.conv2(maps), maps)


def test_filters_start_as_the_identity():
    stage = cifarnet().stage4
    maps = torch.rand(2, TRUNKS["medium"][-1].channels, 4, 4)
    assert torch.equal(stage.rest.conv2(maps), maps)


@pytest.mark.parametrize(("channels", "side"), [(1, 9), (3, 32), (3, 41)])
def test_takes_any_size_and_one_or_three_channels(channels: int, side: int):
    network = cifarnet(num_classes=4, in_channels=channels)
    assert isinstance(network, Whitened)
    network.fit_whitening(photographs(channels=channels))
    assert network(torch.rand(2, channels, side, side)).shape == (2, 4)


@pytest.mark.parametrize("size", list(TRUNKS))
def test_every_parameter_but_a_filter_has_a_pace_and_every_filter_any_scale(size: str):
    network = cifarnet(size=size)
    assert isinstance(network, HasParamGroups)
    param_groups, filters = network.param_groups(), network.scale_free()
    assert param_groups.keys() | filters == {name for name, _ in network.named_parameters()}
    assert not param_groups.keys() & filters
    assert param_groups["whiten.bias"].until < 1 and param_groups["stage1.norm1.bias"].rate == pytest.approx(
        BIAS_RATE * network.fc.in_features / 256
    )
    images = torch.rand(8, 3, 16, 16)
    before = network(images)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name in filters:
                weight.mul_(3)
    assert torch.allclose(network(images), before, atol=1e-3)  # batch normalization adds a constant to the variance


def test_classifier_weights_have_the_deviation_of_one_over_the_width():
    fc = cifarnet().fc
    assert float(fc.weight.detach().std()) == pytest.approx(1 / fc.in_features)


SIDES = (28, 32, 48, 49, 56, 64, 96, 97, 128)


@pytest.mark.parametrize("side", SIDES)
def test_a_cell_of_the_last_map_sees_the_whole_image_at_every_size(side: int):
    stride = fitting_stem_stride((side, side))
    with torch.device("meta"):
        network = cifarnet(size="tiny", in_channels=1, stem_stride=stride)
    [last] = [layer for layer in inspect(network, (1, side, side)).layers if layer.name == "stage4:add"]
    for axis in (2, 3):
        field = last.fields[0, axis]
        assert field.endless and field.size == 67 * stride >= side


def test_the_family_has_one_depth_and_its_cost_grows_with_its_sizes():
    assert [dict(find(name).settings)["size"] for name in CIFARNETS] == list(TRUNKS)
    shapes = [[(stage.convolutions, stage.halved, stage.shortcut) for stage in trunk] for trunk in TRUNKS.values()]
    assert all(shape == shapes[0] for shape in shapes)
    widths = [[stage.channels for stage in trunk] for trunk in TRUNKS.values()]
    assert all(a < b for less, more in pairwise(widths) for a, b in zip(less, more, strict=True))
    assert {LARGER_INPUTS[name] for name in CIFARNETS} == {max(SIDES)}


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_maps_of_a_stem_stride_are_those_of_an_image_of_that_part_of_the_side(stride: int):
    with torch.device("meta"):
        plain, strided = cifarnet(), cifarnet(stem_stride=stride)
        small, large = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32 * stride, 32 * stride)
        assert strided.whiten(large).shape == plain.whiten(small).shape
        assert strided(torch.rand(2, 3, SMALLEST * stride, SMALLEST * stride)).shape == (2, 10)
