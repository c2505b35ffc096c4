"""Values that are freed as they come: those of a run that keeps all, and the network's own scores, bit for bit."""

from __future__ import annotations

import pytest
import torch

from convscope.errors import ConvscopeError
from convscope.interpret.features.observed import observed_layers
from convscope.interpret.replay.replays import Replays
from convscope.nets.build import build
from convscope.nets.catalogue import ENTRIES
from convscope.nets.entry import Entry

SMALL = 64  # pixels to a side that are enough to have every operation
# In-place and functional rectifiers, concatenations, gates, shuffles, one dimension.
FEW = ("lenet5", "googlenet-2014", "mobilenet_v3_small", "densenet121", "mobilenet_v2", "seresnet50",
       "convnext_tiny", "m5")  # fmt: skip


def made(entry: Entry) -> tuple[torch.nn.Module, torch.Tensor]:
    """Return the network and two samples, small where it takes small ones."""
    torch.manual_seed(0)
    shape = entry.input_shape
    if len(shape) == 3 and min(shape[1:]) > SMALL:
        try:
            return build(entry.name, image_size=SMALL).eval(), torch.randn(2, shape[0], SMALL, SMALL)
        except ConvscopeError:
            pass  # some are made for their own size alone
    return build(entry.name).eval(), torch.randn(2, *shape)


def require_equal(entry: Entry) -> None:
    network, batch = made(entry)
    replays, before = Replays(network), batch.clone()
    run = replays.on(batch)
    wanted = tuple(found.name for found in observed_layers(run.names))
    assert wanted
    streamed = {name: tensor.clone() for name, tensor in replays.values_as_they_come(batch, wanted=wanted)}
    assert set(streamed) == set(wanted) and torch.equal(batch, before)
    for name in wanted:
        assert torch.equal(streamed[name], run.value(name)), name
    with torch.inference_mode():
        scores = network(batch)
    scores = scores[0] if isinstance(scores, tuple) else scores
    last = run.graph.outputs[0]
    found = dict(replays.values_as_they_come(batch, wanted=(run.names.of_value(last),)))
    assert torch.equal(*found.values(), scores)


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.name in FEW], ids=lambda entry: entry.name)
def test_some_networks(entry: Entry) -> None:
    require_equal(entry)


@pytest.mark.long
@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.name not in FEW], ids=lambda entry: entry.name)
def test_all_other_networks(entry: Entry) -> None:
    require_equal(entry)
