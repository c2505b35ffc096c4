"""The arithmetic that the history turns on, proved on networks; docs/networks.md tells it in words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from catalogue_facts import facts, network_on_meta
from convscope.capture.capture import capture


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def macs(network: nn.Module, *shape: int) -> int:
    return capture(network, shape).macs


def pixels_seen(network: nn.Module, channels: int) -> tuple[int, int]:
    """Rows and columns of a 15x15 image on which the middle output depends, by its gradient under positive weights."""
    for weight in network.parameters():
        nn.init.constant_(weight, 1.0)
    image = torch.ones(1, channels, 15, 15, requires_grad=True)
    answer = network(image)
    answer[0, 0, answer.shape[2] // 2, answer.shape[3] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0, 0] != 0
    return int(seen.any(1).sum()), int(seen.any(0).sum())


@pytest.mark.parametrize("channels", [1, 8, 64])
def test_three_3x3_see_what_one_7x7_sees_with_27_against_49_c_squared_weights(channels):
    three = nn.Sequential(*(nn.Conv2d(channels, channels, 3, bias=False) for _ in range(3)))
    seven = nn.Conv2d(channels, channels, 7, bias=False)
    assert pixels_seen(three, channels) == pixels_seen(seven, channels) == (7, 7)
    assert parameters(three) == 27 * channels**2 and parameters(seven) == 49 * channels**2
    assert round(100 * (1 - parameters(three) / parameters(seven))) == 45


def test_a_1x7_after_a_7x1_sees_what_a_7x7_sees():
    factors = nn.Sequential(nn.Conv2d(4, 4, (1, 7), bias=False), nn.Conv2d(4, 4, (7, 1), bias=False))
    assert pixels_seen(factors, 4) == (7, 7)
    assert parameters(factors) == 14 * 16 and parameters(nn.Conv2d(4, 4, 7, bias=False)) == 49 * 16


def test_alexnets_first_layer_and_its_fc6():
    network = network_on_meta("alexnet-2012")
    assert parameters(network.features.conv1) == 34_944 == 96 * (11 * 11 * 3) + 96
    assert parameters(network.classifier.fc6) == 37_752_832 == 9_216 * 4_096 + 4_096
    lenet = network_on_meta("lenet5-notes")
    assert parameters(lenet.c5) == 48_120 == 400 * 120 + 120
    assert round(parameters(network.classifier.fc6) / parameters(lenet.c5)) == 785


def test_alexnets_weights_are_connections_and_its_work_is_convolutions():
    connected = parameters(network_on_meta("alexnet-2012").classifier)
    assert connected / facts("alexnet-2012").graph.parameter_count > 0.96
    assert connected / facts("alexnet-2012").macs < 0.09


def test_two_towers_halve_the_three_grouped_layers():
    one, two = network_on_meta("alexnet-2012-one-tower"), network_on_meta("alexnet-2012")
    saved = sum(getattr(one.features, name).weight.numel() // 2 for name in ("conv2", "conv4", "conv5"))
    assert parameters(one) - parameters(two) == saved == 1_413_120


def test_a_bottleneck_is_seventeen_times_lighter_than_two_3x3():
    plain = 2 * parameters(nn.Conv2d(256, 256, 3, bias=False))
    bottleneck = network_on_meta("resnet50").layer1[1]
    weights = sum(parameters(layer) for layer in (bottleneck.conv1, bottleneck.conv2, bottleneck.conv3))
    assert (plain, weights) == (1_179_648, 69_632)


def test_splitting_a_convolution_costs_one_ninth_and_one_over_the_maps():
    whole = macs(nn.Conv2d(32, 64, 3, padding=1, bias=False), 32, 14, 14)
    split = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False), nn.Conv2d(32, 64, 1, bias=False))
    assert macs(split, 32, 14, 14) / whole == pytest.approx(1 / 64 + 1 / 9)


def test_lenets_1998_form_has_60_000_trainable_numbers_and_840_fixed_ones():
    network = network_on_meta("lenet5-1998")
    by_layer = {name: parameters(layer) for name, layer in network.named_children() if parameters(layer)}
    assert by_layer == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert sum(by_layer.values()) == 60_000
    assert network.output.codes.numel() == 840
    assert sum(len(maps) for maps in network.c3.sources) == 60


def test_152_layers_cost_less_than_vggs_19():
    assert facts("resnet152").macs < facts("vgg19").macs
    assert facts("resnet152").graph.parameter_count < facts("vgg19").graph.parameter_count
