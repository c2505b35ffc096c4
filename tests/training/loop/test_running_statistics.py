"""Running statistics that are measured anew after an epoch of few steps."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.hardware.rank import Rank
from convscope.runs.checkpoint import load_optimizer, optimizer_tensors
from convscope.runs.events import Silent
from convscope.scoring.objective import Objective
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_batch_norm import share_batch_norm
from convscope.training.loop.loop import _measure_statistics, fit
from convscope.training.loop.running_statistics import BATCHES, measured_anew
from convscope.training.loop.state import Settings, TrainingState, batches_of, new_state
from resolved_recipes import resolved_with

DRAW = np.random.default_rng(0)
TRAIN = ImageSet(DRAW.integers(0, 256, (37, 8, 8, 3), dtype=np.uint8), np.arange(37) % 3, ["x"] * 37)
SCHEDULE = {"classes": 3, "epochs": 3, "batch_size": 10, "learning_rate": 0.1, "seed": 3, "flip": True}
RESOLVED = resolved_with(**SCHEDULE)
SETTINGS = Settings(
    resolved=RESOLVED,
    objective=Objective(),
    augmentation=RESOLVED.augmentation,
    normalization=Normalization((0.5,) * 3, (0.3,) * 3),
)
AVERAGED = replace(SETTINGS, resolved=resolved_with(**SCHEDULE, ema_epochs=1.0))


def _state(settings: Settings = SETTINGS) -> TrainingState:
    torch.manual_seed(5)
    layers = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(216, 3))
    return new_state(nn.Sequential(*layers), settings.resolved)


def _fitted(state: TrainingState, settings: Settings, until: int = 3) -> TrainingState:
    stop: Callable[[], bool] = lambda: state.epoch >= until  # noqa: E731
    fit(state, settings, TRAIN, None, listener=Silent(), keep=lambda _: None, stop=stop)
    return state


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_they_are_the_mean_over_the_batches_and_nothing_else_changes() -> None:
    network = _state().network.train()
    network.append(nn.BatchNorm1d(3).eval())  # one that is frozen
    batches = [torch.randn(5, 3, 8, 8) for _ in range(3)]
    inputs = [network[0](batch) for batch in batches]
    before, drawn = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    measured_anew(network, network, batches)
    means = torch.stack([each.mean((0, 2, 3)) for each in inputs]).mean(0)
    variances = torch.stack([each.var((0, 2, 3)) for each in inputs]).mean(0)
    assert torch.allclose(network[1].running_mean, means, atol=1e-6)
    assert torch.allclose(network[1].running_var, variances, atol=1e-6)
    assert network[1].momentum == 0.1 and torch.equal(torch.get_rng_state(), drawn)
    assert network[3].training and not network[6].training
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"1.running_mean", "1.running_var"}


@pytest.mark.parametrize("settings", [SETTINGS, AVERAGED], ids=["plain", "averaged"])
def test_a_resumed_training_has_the_bits_of_the_unbroken_one(settings: Settings) -> None:
    whole, broken, resumed = (
        _fitted(_state(settings), settings),
        _fitted(_state(settings), settings, 1),
        _state(settings),
    )
    assert broken.epoch == 1
    for one, other in zip(_networks(resumed), _networks(broken), strict=True):
        one.load_state_dict(other.state_dict())
    load_optimizer(resumed.network, resumed.optimizer, optimizer_tensors(broken.network, broken.optimizer))
    resumed.epoch, resumed.step, resumed.rows, resumed.best = broken.epoch, broken.step, broken.rows, broken.best
    _fitted(resumed, settings)
    for one, other in zip(_networks(resumed), _networks(whole), strict=True):
        assert _equal(one.state_dict(), other.state_dict())


def _networks(state: TrainingState) -> list[nn.Module]:
    return [state.network] if state.average is None else [state.network, state.average.network]


def test_those_of_averaged_weights_are_measured_with_these() -> None:
    state = _fitted(_state(AVERAGED), AVERAGED)
    assert state.average is not None and state.evaluated is state.average.network
    with torch.no_grad():
        last = list(itertools.islice(batches_of(AVERAGED, TRAIN).epoch(2), BATCHES))
        for network in _networks(state):
            found: Any = network
            means = torch.stack([found[0](batch.pixels).mean((0, 2, 3)) for batch in last]).mean(0)
            assert torch.allclose(found[1].running_mean, means, atol=1e-6)


class _Alone(ProcessGroup):
    """A process of two that exchanges nothing: to be asked for anything ends the test."""

    def gather_each(self, values: Tensor) -> Tensor:
        raise AssertionError("an exchange")


@pytest.mark.parametrize("shared", [False, True])
def test_every_process_measures_what_one_alone_does(shared: bool) -> None:
    alone = _state(AVERAGED)
    _measure_statistics(alone, batches_of(AVERAGED, TRAIN))
    for rank in (0, 1):
        state, group = _state(AVERAGED), _Alone(Rank(rank=rank, size=2))
        if shared:
            share_batch_norm(state.network, group)
        _measure_statistics(state, batches_of(AVERAGED, TRAIN, share=group.rows))
        for one, other in zip(_networks(state), _networks(alone), strict=True):
            for name, tensor in one.state_dict().items():
                assert torch.allclose(tensor, other.state_dict()[name], atol=0 if not shared else 1e-6), name
