"""Threads that call public functions at once find what one thread finds, and leave models and the process as found."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.api.generators import OwnGenerators, exclusive
from convscope.api.thread_count import threads_of_this_thread
from convscope.api.torch_state import known_state
from convscope.data.preprocessing import Preprocessing
from convscope.runs.model_spec import ModelSpec
from public_verbs import SHAPE, Call, found_by, network, state_now, state_of, trained, verbs, weights

THREADS = 8
# A capture or more each, and a predictor that takes no part in their turns.
MIXED = ("inspect", "field", "compare", "explain", "audit", "training_memory", "load")


def _differences(folder: Path, models: list[nn.Module], captures: int) -> list[str]:
    """Call mixed verbs on shared models in 8 threads, a training beside them; return what differs."""
    run = trained(folder).run.path
    made = [verbs(folder, model, run) for model in models]
    calls = [(f"{verb} of model {number}", calls[verb]) for number, calls in enumerate(made) for verb in MIXED]
    expected, alone = {name: found_by(call) for name, call in calls}, weights(run)
    before, of_models = state_now(), [state_of(model) for model in models]
    wrong: list[str] = []

    def call(number: int) -> None:
        name, one = calls[number]
        if (found := found_by(one)) != expected[name]:
            place = next(at for at, (a, b) in enumerate(zip(found, expected[name], strict=False)) if a != b)
            near = slice(max(0, place - 150), place + 50)
            wrong.append(f"{name} finds something else: {found[near]} where it found {expected[name][near]}")

    draw = random.Random(0)
    order = [draw.randrange(len(calls)) for _ in range(captures)]
    ended = threading.Event()

    def train() -> None:
        while not ended.is_set():
            if weights(trained(folder).run.path) != alone:
                wrong.append("a training has other weights")

    beside = threading.Thread(target=train)
    beside.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(call, order))
    finally:
        ended.set()
        beside.join()
    wrong += [f"{what} is left changed" for what, value in state_now().items() if value != before[what]]
    found = [state_of(model) for model in models]
    wrong += [f"model {number} is left changed" for number, model in enumerate(found) if model != of_models[number]]
    return wrong


def test_mixed_verbs_in_threads_find_what_one_thread_finds(tmp_path: Path) -> None:
    assert not _differences(tmp_path, [network(4).train(), network(5).eval()], 40)


@pytest.mark.long
@pytest.mark.parametrize(
    "widths", [(4, 5, 6), (4,), (5,)], ids=["three models", "one in training", "one in evaluation"]
)
def test_a_thousand_mixed_verbs_in_threads_find_what_one_thread_finds(widths: tuple[int, ...], tmp_path: Path) -> None:
    assert not _differences(tmp_path, [network(width).train(width != 5) for width in widths], 1_000)


class Reading(nn.Module):
    """A network in which one branch ends in Python, or in nothing."""

    def __init__(self, *, reads: bool) -> None:
        super().__init__()
        self.reads, self.first, self.side = reads, nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.first(image)
        side = self.side(maps).sum()
        if self.reads:
            str(side)
        return maps


def test_captures_in_two_threads_notice_their_own_reads_alone() -> None:
    readers = ("numpy", "tolist", "__array__", "__repr__")
    before = {name: torch.Tensor.__dict__.get(name) for name in readers}
    ended = threading.Event()

    def print_tensors() -> None:
        while not ended.is_set():
            assert torch.ones(2).tolist() == [1.0, 1.0] and str(torch.ones(1)) == "tensor([1.])"

    def found(reads: bool) -> set[str]:
        warnings = convscope.inspect(Reading(reads=reads), (3, 8, 8)).warnings
        return {warning.kind for warning in warnings if warning.kind == "dead-branch"}

    with ThreadPoolExecutor(4) as pool:
        beside = pool.submit(print_tensors)
        try:
            results = list(pool.map(found, [True, False] * 10))
        finally:
            ended.set()
        beside.result()
    assert results == [set(), {"dead-branch"}] * 10
    assert {name: torch.Tensor.__dict__.get(name) for name in readers} == before


def test_a_predictor_predicts_while_other_threads_inspect_it() -> None:
    preprocessing = replace(Preprocessing.default(SHAPE), classes=tuple("abcde"))
    predictor = convscope.Predictor(network(), ModelSpec(name="lenet5", options={}, preprocessing=preprocessing))
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    calls: list[Call] = [
        lambda: predictor(image).to_dict(),
        lambda: convscope.inspect(predictor, mode="train").to_dict(),
        lambda: convscope.training_memory(predictor).at(8).total,
        lambda: convscope.audit(predictor).to_dict(),
        lambda: convscope.explain(predictor, image, layer="4", at=(2, 2)).to_dict(),
    ]
    expected, before = [found_by(call) for call in calls], state_of(predictor.network)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(6):
            assert list(pool.map(found_by, calls * 4)) == expected * 4
    assert state_of(predictor.network) == before


def test_a_thread_that_starts_while_another_changes_its_number_of_threads_has_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, change = torch.get_num_threads(), torch.set_num_threads
    first_use: list[int] = []

    def use_torch_first() -> None:
        with known_state():
            first_use.append(torch.get_num_threads())

    newcomer = threading.Thread(target=use_torch_first)

    def change_slowly(threads: int) -> None:
        change(threads)
        if threads == before + 1:  # which any thread that uses torch now for the first time would have
            newcomer.start()
            newcomer.join(0.1)

    monkeypatch.setattr(torch, "set_num_threads", change_slowly)
    with threads_of_this_thread(before + 1):
        newcomer.join()
    assert first_use == [before]


@pytest.mark.long
def test_trainings_in_two_threads_have_the_weights_that_each_has_alone(tmp_path: Path) -> None:
    # It drops units, so that each step draws from the global generator.
    def train(seed: int, name: str) -> list[str]:
        recipe = convscope.Recipe(model="alexnet-mini", epochs=1, seed=seed, autotune="rules")
        outcome = convscope.train("digits", recipe, name=name, runs_directory=tmp_path, cache_directory=tmp_path / "c")
        return weights(outcome.run.path)

    alone = [train(seed, "alone") for seed in range(2)]
    before = state_now()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(train, range(2), ["first", "second"]))
    assert together == alone
    assert state_now() == before


def test_a_waiting_thread_gets_its_turn_between_the_steps_of_a_training() -> None:
    own, ended, turns = OwnGenerators(0), threading.Event(), 0

    def steps() -> None:
        while not ended.is_set():
            with own:
                torch.rand(1000)

    training = threading.Thread(target=steps)
    training.start()
    try:
        for _ in range(50):
            with exclusive():
                turns += 1
    finally:
        ended.set()
        training.join()
    assert turns == 50


class _Draws(nn.Module):
    def __init__(self, drawn: threading.Event, go_on: threading.Event) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3)
        self._drawn, self._go_on = drawn, go_on

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._drawn.set()
        self._go_on.wait(60)
        random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002 - the global state
        scores: torch.Tensor = self.layer(x)
        return scores


@pytest.mark.parametrize("verb", ["inspect", "audit", "explain", "training_memory"])
def test_what_another_thread_draws_during_a_call_does_not_come_again(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    model = _Draws(inside, go_on)
    calls = {
        "inspect": lambda: convscope.inspect(model, SHAPE),
        "audit": lambda: convscope.audit(model, input_shape=SHAPE),
        "explain": lambda: convscope.explain(model, torch.zeros(SHAPE), layer="layer", at=(0, 0)),
        "training_memory": lambda: convscope.training_memory(model, SHAPE),
    }

    def draws() -> list[float]:
        return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002 - the global state

    thread = threading.Thread(target=calls[verb])
    thread.start()
    assert inside.wait(60)
    during = draws()
    go_on.set()
    thread.join()
    assert not set(during) & set(draws())
    # In a process of one thread, nothing stays drawn; the one that runs the tests may have others.
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    before = state_now()
    calls[verb]()
    assert state_now() == before


def test_predictions_leave_the_generators_of_other_threads_alone(tmp_path: Path) -> None:
    run, image = trained(tmp_path).run.path, np.zeros((8, 8), np.uint8)
    random.seed(0)
    expected = [random.random() for _ in range(2000)]
    random.seed(0)
    ended = threading.Event()

    def predict() -> None:
        for _ in range(5):
            convscope.load(run)(image)
            convscope.inspect("lenet5")
        ended.set()

    thread = threading.Thread(target=predict)
    thread.start()
    found = []
    while not ended.is_set() or len(found) < len(expected):
        found.append(random.random())
        ended.wait(0.0001)
    thread.join()
    assert found[: len(expected)] == expected
