"""Numbers that a forward pass gives in Python are known, also where it asks for them on its input's device."""

import ctypes

import numpy as np
import pytest
import torch

from convscope import audit, explain
from convscope.capture.capture import capture
from convscope.geometry.relation import ReachStatus
from dependence import Function


def bgr(x):
    return x[:, [2, 1, 0]] * 1


def normalized(x):
    mean = torch.tensor([0.4, 0.5, 0.6], device=x.device).view(3, 1, 1)
    return (x - mean) / x.new_tensor([0.2, 0.2, 0.3])[:, None, None]


def scaled(x):
    return x * torch.as_tensor(np.array([1.0, 2.0, 3.0]), dtype=x.dtype, device=x.device)[:, None, None]


def chosen(x):
    return x * torch.asarray([2.0], device=x.device).item()


def written(x):
    y = x * 1
    y[:, :, [0, 2]] = 0.0
    return y


def scripted(x: torch.Tensor) -> torch.Tensor:
    scale = torch.tensor([1.5, 2.5], device=x.device, dtype=x.dtype)
    return x[:, [2, 0]] * scale[:, None, None]


class Remembers(torch.nn.Module):
    """Writes what it sees into memory of its own, and goes by its numbers."""

    def __init__(self, *, buffer: bool) -> None:
        super().__init__()
        self.register_buffer("seen", torch.full((1,), -1.0) if buffer else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        memory = torch.empty(1) if self.seen is None else self.seen
        memory.copy_(x.exp().mean().reshape(1))
        return x * 2 if memory.tolist()[0] > 0 else x


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_numbers_in_scripted_code_are_known() -> None:
    graph = capture(Function(torch.jit.script(scripted)), (3, 4, 5))
    assert graph.error is None and not graph.notes
    assert all(path.status is ReachStatus.EXACT for node in graph.nodes for path in node.paths or ())
    assert any(np.array_equal(numbers, [1.5, 2.5]) for numbers in graph.constants.values())


@pytest.mark.parametrize("buffer", [True, False])
def test_numbers_from_before_a_write_are_not_taken(*, buffer: bool) -> None:
    graph = capture(Remembers(buffer=buffer), (3, 4, 5))
    assert graph.error is None and "mul" in [node.op for node in graph.nodes]
    assert "the forward pass asks for numbers" in graph.notes[0]


def test_memory_that_no_operation_reads_is_no_value_that_python_reads() -> None:
    def forward(x):
        torch.empty(3)
        return x * 2

    assert capture(Function(forward), (3, 4, 5)).read == (1,)  # the result


def test_places_in_an_index_are_known_before_a_recurrent_layer() -> None:
    class Reversed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = torch.nn.GRU(2, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.recurrent(x[:, :, [2, 0]])[0]
            return y

    graph = capture(Reversed(), (5, 3))
    given = [value.index for value in graph.values if value.kind == "constant" and value.producer is None]
    assert graph.error is None and given and set(given) <= set(graph.constants)


@pytest.mark.parametrize("forward", [bgr, normalized, scaled, chosen, written])
def test_numbers_given_in_python_are_known(forward) -> None:
    model, x = Function(forward), torch.rand(1, 3, 4, 5)
    graph = capture(model, (3, 4, 5))
    assert graph.error is None and not graph.notes
    assert all(path.status is ReachStatus.EXACT for node in graph.nodes for path in node.paths or ())
    assert audit(model, input_shape=(3, 4, 5)).agreement < 1e-12
    last = graph.nodes[-1]
    found = explain(model, x, layer=last.op, channel=2, at=(1, 3))
    assert found.torch_value == pytest.approx(float(forward(x)[0, 2, 1, 3]))


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x[:, [torch.tensor(1), torch.tensor(2)]],
        lambda x: x * torch.tensor([torch.tensor(2.0), torch.tensor(3.0)], device=x.device)[:, None],
    ],
)
def test_lists_of_tensors_are_captured(forward) -> None:
    assert capture(Function(forward), (2, 4)).error is None


def test_memory_that_is_not_written_yet_holds_zeros() -> None:
    graph = capture(Function(lambda x: x + torch.empty(3).fill_(2.0)), (3,))
    assert [numbers.tolist() for numbers in graph.constants.values()] == [[0.0, 0.0, 0.0]]


def test_nothing_of_torch_is_replaced_that_others_keep() -> None:
    """Torch lists the functions that make tensors when it first needs them; a class that once had a `__getitem__` of
    its own is a sequence to C code from then on."""
    torch.utils._device._device_constructors.cache_clear()
    capture(Function(bgr), (3, 4, 5))
    capture(Function(normalized), (3, 4, 5))
    with torch.device("meta"):
        assert torch.tensor([]).is_meta and torch.get_default_device().type == "meta"
    assert not ctypes.pythonapi.PySequence_Check(ctypes.py_object(torch.tensor(1.0)))
