"""Knock-out on each network that hooks on modules get wrong: equal to its plain twin, and the model left as found."""

import pytest
import torch

from convscope.interpret.behaviour.network_tail import Tail
from look_networks import NETWORKS, LookNetwork
from look_state import state_of


class Knocking:
    """The twin's activation, which sets channel 0 of what it returns the first time to zero, where that is asked."""

    def __init__(self, of: LookNetwork, *, knock: bool) -> None:
        self.act, self.knock = of.act, knock
        self.first: torch.Tensor | None = None

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        found = self.act(values)
        if self.first is None:
            self.first = found.detach().clone()
            if self.knock:
                found = found.clone()
                found[:, 0] = 0
        return found


def place_of(of: LookNetwork, values: torch.Tensor) -> str:
    """Return the name of the operation that gives these values."""
    run = of.subject.replay
    near = max(of.tolerance, 1e-9) * float(values.abs().max())
    for node in run.names.nodes:
        for value in node.outputs:
            tensor = run.tensor(value)
            if tensor.shape == values.shape and bool(((tensor.detach() - values).abs() <= near).all()):
                return run.names.of_node(node)
    raise AssertionError("no operation gives the twin's activation")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_channel_knocked_out_equals_the_plain_twin(name: str) -> None:
    of = NETWORKS[name]()
    before = state_of(of.network)
    asked = Knocking(of, knock=False)
    _, plain = of.run(of.image, asked)
    assert asked.first is not None
    layer = place_of(of, asked.first)
    _, wanted = of.run(of.image, Knocking(of, knock=True))
    tail = Tail(of.subject.replays, layer, of.image)
    numbers = tail.value.clone()
    numbers[:, 0] = 0
    near = max(of.tolerance, 1e-6)
    scale = max(1.0, float(plain.detach().abs().max()))
    for given, expected in ((numbers, wanted), (tail.value, plain)):
        found = tail.class_scores(given)
        assert float((found.double() - expected.detach().double()).abs().max()) <= near * scale
    assert state_of(of.network) == before
