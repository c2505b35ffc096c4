"""Numbers that a forward pass gives in Python are known, also where it asks for them on its input's device."""

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


def test_what_makes_tensors_is_put_back() -> None:
    before = torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor, dict(torch.Tensor.__dict__)
    capture(Function(bgr), (3, 4, 5))
    capture(Function(lambda x: x[9]), (3, 4, 5))  # fails
    assert before == (torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor, torch.Tensor.__dict__)
