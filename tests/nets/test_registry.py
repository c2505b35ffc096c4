"""Laws that every network of the catalogue keeps; a new entry is tested by being there."""

from __future__ import annotations

import importlib

import pytest
import torch

from convscope.errors import ConvscopeError
from convscope.nets import catalogue
from convscope.nets.build import build, smallest_input
from convscope.nets.shapes import trace_shapes

every_network = pytest.mark.parametrize("entry", catalogue.ENTRIES, ids=lambda entry: entry.name)


@every_network
def test_parameters_are_the_catalogues(entry):
    with torch.device("meta"):
        network = build(entry.name)
    assert sum(p.numel() for p in network.parameters()) == entry.parameters


@every_network
def test_stages_are_as_stated_beside_the_network(entry):
    with torch.device("meta"):
        shapes = trace_shapes(build(entry.name), entry.input_shape)
    stages = catalogue.stages(entry)
    assert {name: shapes[name] for name, _ in stages} == dict(stages)


@every_network
def test_the_table_read_without_torch_is_the_modules_own(entry):
    tables = importlib.import_module(entry.module).STAGES
    assert catalogue.stages(entry) in tables.values()


@every_network
def test_learns_from_a_small_input_with_other_channels_and_classes(entry):
    smallest = smallest_input(entry.name)
    sizes = tuple(max(size, 8 if full >= 8 else size) for size, full in zip(smallest, entry.image_size, strict=True))
    network = build(entry.name, num_classes=7, in_channels=2, image_size=sizes)
    scores = network(torch.rand(2, 2, *sizes))
    assert scores.shape[:2] == (2, 7) and torch.isfinite(scores).all()
    scores.square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []


@every_network
def test_one_pixel_less_than_the_smallest_input_is_refused_by_layer(entry):
    smallest = smallest_input(entry.name)
    if min(smallest) == 1:
        build(entry.name, image_size=smallest)
        return
    with pytest.raises(ConvscopeError, match=r"the smallest that works is " + "x".join(map(str, smallest))) as caught:
        build(entry.name, image_size=[size - 1 for size in smallest])
    assert "at layer '" in str(caught.value)


@every_network
def test_building_twice_from_one_seed_gives_the_same_weights(entry):
    if entry.parameters > 30_000_000:
        return  # the law is the same for the small ones of each family
    first, second = [], []
    for weights in (first, second):
        torch.manual_seed(5)
        weights.extend(build(entry.name).parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
