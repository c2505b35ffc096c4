"""Laws that every network of the catalogue keeps; a new entry is tested by being there."""

from __future__ import annotations

import importlib
from inspect import signature

import pytest
import torch
from torch import nn

from catalogue_facts import facts, inspected, network_on_meta, smallest
from convscope.errors import GeometryError
from convscope.graph.diagnose.diagnose import fold_warnings
from convscope.nets import build as building
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.shapes import VanishedError, output_shape, trace_shapes

LARGE = 15_000_000

every_network = pytest.mark.parametrize("entry", catalogue.ENTRIES, ids=lambda entry: entry.name)


# Layers that papers do not count as convscope does: LeNet's subsampling, the two small layers of a squeeze, and what
# the authors of Inception-v3 left out of its 48.
COUNTED_OTHERWISE = {"lenet5": 5, "lenet5-1998": 4, "inception_v3": 48, "seresnet50": 82, "senet154": 254}


@every_network
def test_parameters_are_the_catalogues(entry):
    assert sum(p.numel() for p in network_on_meta(entry.name).parameters()) == entry.parameters


@every_network
def test_stages_are_as_stated_beside_the_network(entry):
    shapes = trace_shapes(network_on_meta(entry.name), entry.input_shape)
    stages = catalogue.stages(entry)
    assert {name: shapes[name] for name, _ in stages} == dict(stages)


@every_network
def test_the_table_read_without_torch_is_the_modules_own(entry):
    tables = importlib.import_module(entry.module).STAGES
    assert catalogue.stages(entry) in tables.values()


@every_network
def test_learns_from_a_small_input_with_other_channels_and_classes(entry):
    sizes = tuple(max(least, min(8, full)) for least, full in zip(smallest(entry.name), entry.image_size, strict=True))
    # The large ones run on the meta device: the same shapes and the same gradients, without the arithmetic.
    device = "cpu" if entry.parameters < LARGE else "meta"
    with torch.device(device):
        network = build(entry.name, num_classes=7, in_channels=2, image_size=sizes)
        outputs = network(torch.rand(2, 2, *sizes))
    scores = outputs if isinstance(outputs, tuple) else (outputs,)
    assert all(score.shape[:2] == (2, 7) for score in scores)
    assert device == "meta" or all(torch.isfinite(score).all() for score in scores)
    sum(score.square().sum() for score in scores).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@every_network
def test_one_pixel_less_than_the_smallest_input_is_refused_by_layer(entry, monkeypatch):
    least = smallest(entry.name)
    monkeypatch.setattr(building, "smallest_input", lambda name, options: smallest(name))  # which is found once
    if max(least) == 1:
        return  # there is nothing smaller
    axis = least.index(max(least))
    sizes = [max(1, size - 1) if i == axis or least.count(size) > 1 else size for i, size in enumerate(least)]
    with pytest.raises(GeometryError) as caught, torch.device("meta"):
        build(entry.name, image_size=sizes)
    assert f"the smallest that works is {'x'.join(map(str, least))}" in str(caught.value)
    layer = str(caught.value).split("at layer '")[1].split("'")[0]
    assert layer in dict(network_on_meta(entry.name).named_modules())


@every_network
def test_building_twice_from_one_seed_gives_the_same_weights(entry):
    if entry.parameters >= LARGE:
        return  # the law is the same for the small ones of each family
    first, second = [], []
    for weights in (first, second):
        torch.manual_seed(5)
        weights.extend(build(entry.name).parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_network
def test_the_options_read_without_torch_are_the_factorys_own(entry):
    factory = getattr(importlib.import_module(entry.module), entry.factory)
    fixed = {*catalogue.COMMON, *dict(entry.settings)}
    assert {option.name for option in catalogue.options(entry)} == set(signature(factory).parameters) - fixed


@every_network
def test_is_captured_whole_with_every_multiply_add_counted(entry):
    found = facts(entry.name)
    assert found.graph.error is None
    assert found.graph.parameter_count == entry.parameters
    assert found.uncounted == ()
    assert found.depth == COUNTED_OTHERWISE.get(entry.name, entry.layers or found.depth)


WARNED = {
    "alexnet-mini": {"heavy-linear"},
    **{key: {"heavy-linear"} for key in ("alexnet", "alexnet-2012", "alexnet-2012-one-tower", "zfnet")},
    **{key: {"heavy-linear"} for key in (n for n in catalogue.names() if n.startswith("vgg"))},
    # On purpose: maps of 31, 15 and 7 are halved downwards, which spares a quarter of the work.
    **{key: {"never-read"} for key in catalogue.CIFARNETS},
}


@every_network
def test_it_gets_the_warnings_that_it_deserves(entry):
    """Notes are for reading; a warning on a network that everybody uses must be one that everybody would sign."""
    inspection = inspected(entry.name)
    assert {w.kind for w in inspection.warnings if w.severity == "warning"} == WARNED.get(entry.name, set())
    assert len(fold_warnings(inspection.warnings)) <= 5
    names = {layer.name for layer in inspection.layers}
    assert all(w.layer in names for w in inspection.warnings)
    assert sum(layer.macs or 0 for layer in inspection.layers) == inspection.graph.macs
    assert sum(layer.parameters for layer in inspection.layers) == inspection.parameters


def test_the_shape_after_a_chain_is_the_traced_one() -> None:
    twice = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    chains = (
        nn.Sequential(nn.Conv2d(3, 4, 5, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding="same")),
        nn.Sequential(twice, nn.Sequential(nn.Conv2d(3, 3, (3, 1), stride=(2, 1), dilation=2), nn.Tanh()), twice),
        nn.Sequential(nn.Conv2d(3, 6, 1, groups=3), nn.AvgPool2d(2, padding=1), nn.Dropout()),
        nn.Sequential(nn.MaxPool2d(3, dilation=2), nn.Conv2d(3, 5, 3)),  # traced
        nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten()),  # traced
    )
    for chain in chains:
        for size in ((32, 32), (17, 23)):
            assert output_shape(chain, (3, *size)) == trace_shapes(chain, (3, *size))[""], chain
    with pytest.raises(VanishedError, match=r"vanishes at layer '0'"):
        output_shape(nn.Sequential(nn.Conv2d(3, 4, 9)), (3, 5, 5))
