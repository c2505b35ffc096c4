"""Every network can be handed over: `torch.export` takes it whole, and the exported program answers as it does."""

from __future__ import annotations

import gc

import pytest
import torch

from catalogue_facts import DEEPER_OR_WIDER, short_shape
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.entry import Entry

LARGE = 20_000_000  # parameters
# Deeper and wider siblings and large inputs run in `make proofs`.
LONG = [
    entry
    for entry in catalogue.ENTRIES
    if entry.name in DEEPER_OR_WIDER or entry.name.startswith(("vgg13", "vgg16", "vgg19", "c3d", "unet"))
]


def check(entry: Entry) -> None:
    channels, *small = short_shape(entry)
    torch.manual_seed(0)
    network = build(entry.name, image_size=small).eval()
    x = torch.rand(2, channels, *small)
    exported = torch.export.export(network, (x,))
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(x), network(x), rtol=0, atol=0)
    if sum(weight.numel() for weight in network.parameters()) > LARGE:  # an exported program refers to itself
        del network, exported
        gc.collect()


@pytest.mark.parametrize("entry", [e for e in catalogue.ENTRIES if e not in LONG], ids=lambda e: e.name)
def test_exported_program_answers_as_the_network(entry: Entry) -> None:
    check(entry)


@pytest.mark.long
@pytest.mark.parametrize("entry", LONG, ids=lambda e: e.name)
def test_exported_program_of_a_large_network(entry: Entry) -> None:
    check(entry)
