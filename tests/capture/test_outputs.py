"""What a forward pass returns: tensors wherever they are held, or the words for what came instead."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

import convscope
from convscope.capture.capture import capture


@dataclass
class Detections:
    boxes: object
    names: tuple[str, ...] = ("a",)


@dataclass(slots=True)
class InSlots:
    boxes: object
    names: tuple[str, ...] = ("a",)


class Gives(nn.Module):
    """Returns what a function makes of a map."""

    def __init__(self, give):
        super().__init__()
        self.conv, self.give = nn.Conv2d(3, 4, 3), give

    def forward(self, x):
        return self.give(self.conv(x))


class Nothing(nn.Module):
    def forward(self, x):
        pass


class Generates(nn.Module):
    def forward(self, x):
        yield x * 2


@pytest.mark.parametrize(
    "give",
    [Detections, InSlots, lambda y: {"a": [Detections(InSlots(y))]}, lambda y: Detections({"y": y})],
)
def test_tensors_in_objects_are_outputs(give):
    graph = capture(Gives(give), (3, 8, 8))
    assert [graph.shape(value) for value in graph.outputs] == [(1, 4, 6, 6)] and not graph.notes


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "returned None, as without `return`"),
        ("hello", "returned a value of type str, and no tensor"),
        ({}, "returned a dict of 0 items, none a tensor"),
        (Detections(None), "returned a value of type Detections"),
        ((one for one in ()), "returned a generator"),
    ],
)
def test_what_came_instead_of_tensors_is_said(result, said):
    graph = capture(Gives(lambda y: result), (3, 8, 8))
    assert graph.error is None and graph.macs and said in graph.notes[0]


def test_a_forward_that_computes_nothing_has_failed():
    for model, said in ((Nothing(), "Nothing returned None"), (Generates(), "a generator, which computes nothing")):
        error = capture(model, (3, 8, 8)).error
        assert error is not None and said in error


def test_the_state_of_the_process_is_left_as_found():
    def change(y):
        os.chdir("/")
        os.environ["OF_A_MODEL"] = "1"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.manual_seed(1)
        return y

    def state():
        handler, numbers = signal.getsignal(signal.SIGTERM), torch.get_rng_state().tolist()
        places = Path.cwd(), os.environ.get("OF_A_MODEL"), handler
        return *places, torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), numbers

    model = Gives(change)
    before = state()
    convscope.inspect(model, (3, 8, 8))
    assert state() == before
    convscope.inspect(lambda: change(model), (3, 8, 8))
    assert state() == before
