"""Filters: the layer's own weights, in the form that their shape asks for, on one scale."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import CaptureError, GeometryError
from convscope.interpret.features.filters import filters
from convscope.interpret.replay.replays import Replays
from convscope.report.html import PAGE_WIDTH


def run_of(module: nn.Module, *shape: int):
    return Replays(module.eval(), name="small").on(torch.zeros(1, *shape))


@pytest.mark.parametrize(("module", "shape", "form"), [
    (nn.Conv2d(3, 5, 3), (3, 8, 8), "colour"),
    (nn.Conv2d(1, 5, 3), (1, 8, 8), "single"),
    (nn.Conv2d(4, 8, 3, groups=4), (4, 8, 8), "single"),
    (nn.Conv2d(7, 5, 3), (7, 8, 8), "slices"),
    (nn.Conv2d(3, 5, 1), (3, 8, 8), "bars"),
    (nn.Conv1d(2, 5, 3), (2, 8), "slices"),
    (nn.Conv1d(1, 5, 3), (1, 8), "bars"),
    (nn.Conv3d(2, 5, 3), (2, 5, 5, 5), "slices"),
    (nn.Linear(6, 4), (6,), "bars"),
])  # fmt: skip
def test_each_kind_of_layer_has_its_form_and_its_own_weights(module, shape, form):
    found = filters(run_of(module, *shape))
    assert found.form == form
    assert np.array_equal(found.weights, module.weight.detach().double().numpy())
    assert np.allclose(found.norms, module.weight.detach().flatten(1).norm(dim=1).numpy())
    assert found.figure().document() and str(found) and found.to_dict()["form"] == form


@pytest.mark.parametrize(("channels", "form"), [(3, "colour"), (1, "single"), (2, "slices")])
def test_a_linear_layer_that_reads_the_image_has_its_weights_in_the_shape_of_the_image(channels, form):
    first = nn.Linear(channels * 4 * 5, 6)
    found = filters(run_of(nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(6, 2)), channels, 4, 5))
    assert found.form == form and found.weights.shape == (6, channels, 4, 5)
    assert np.array_equal(found.weights.reshape(6, -1), first.weight.detach().double().numpy())
    deeper = filters(run_of(nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(6, 2)), channels, 4, 5), "3")
    assert deeper.form == "bars" and deeper.weights.shape == (2, 6)


def test_filters_of_a_transposed_convolution_are_those_of_its_outputs():
    torch.manual_seed(0)
    module = nn.ConvTranspose2d(4, 6, 3, groups=2)
    found = filters(run_of(module, 4, 5, 5))
    assert found.weights.shape == (6, 2, 3, 3)
    one = torch.zeros(1, 4, 1, 1)
    one[0, 3] = 1  # the second input of the second group
    drawn = (module(one) - module.bias[:, None, None])[0, 4]
    assert np.allclose(found.weights[4, 1], drawn.detach().numpy())


def test_the_strongest_slices_are_those_of_largest_norm_and_named_over_all_groups():
    module = nn.Conv2d(8, 4, 3, groups=2)
    with torch.no_grad():
        module.weight.zero_()
        module.weight[3, 2] = 1
        module.weight[3, 0] = 0.5
    found = filters(run_of(module, 8, 6, 6))
    assert list(found.strongest[3, :2]) == [2, 0]
    words = found.figure().description
    assert "input 6" in words and "input 4" in words


def test_colour_is_mid_grey_at_zero_with_one_scale_for_all_filters():
    module = nn.Conv2d(3, 2, 1, padding=0)
    module = nn.Conv2d(3, 2, (1, 2))
    with torch.no_grad():
        module.weight.zero_()
        module.weight[0, 0, 0, 0] = 2.0
        module.weight[1, 2, 0, 1] = -1.0
    first, second = (tile.values for tile in filters(run_of(module, 3, 4, 4))._tiles())
    assert first[0].tolist() == [[255, 128, 128], [128, 128, 128]]
    assert second[0].tolist() == [[128, 128, 128], [128, 128, 64]]


def test_many_filters_are_paged():
    found = filters(run_of(nn.Conv2d(5, 40, 3), 5, 6, 6), page=3)
    assert found.pages == 3 and list(found.shown) == list(range(32, 40))
    with pytest.raises(GeometryError, match="page 4"):
        filters(run_of(nn.Conv2d(5, 40, 3), 5, 6, 6), page=4)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_page_of_filters_is_no_wider_than_a_page(channels):
    found = filters(run_of(nn.Conv2d(channels, 70, 3), channels, 6, 6))
    assert found.figure().width <= PAGE_WIDTH


def test_weights_that_are_not_finite_are_hatched_and_said():
    module = nn.Conv2d(3, 2, 3)
    with torch.no_grad():
        module.weight[1, 0, 0, 0] = float("nan")
    found = filters(run_of(module, 3, 6, 6))
    assert "1 of 54 weights" in str(found) and len(np.unique(found._tiles()[1].values[0, 0])) >= 1


def test_layers_without_filters_are_one_line():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(CaptureError, match=r"1 has no filters: it is a relu\. Layers with filters: 0"):
        filters(run_of(network, 1, 6, 6), "1")
    with pytest.raises(CaptureError, match="no convolution and no linear layer"):
        filters(run_of(nn.ReLU(), 1, 6, 6))
    with pytest.raises(CaptureError, match="no layer 'conv9'"):
        filters(run_of(network, 1, 6, 6), "conv9")
