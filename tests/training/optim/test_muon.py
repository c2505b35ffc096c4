"""Muon beside momentum: each parameter moves as torch's own optimizer would move it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from convscope.nets.build import build
from convscope.training.optim.muon import COEFFICIENTS, LEAST_NORM, ORTHOGONAL_STEPS, SGD_MOMENTUM, orthogonal
from convscope.training.optim.optimizers import default_learning_rate, make_optimizer, set_rate

STEPS, RATE, MOMENTUM = 3, 0.1, 0.6


def network(memory_format: torch.memory_format) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(96, 4))
    return layers.to(memory_format=memory_format)


def train(net: nn.Module, step, side: int = 8) -> None:
    for number in range(STEPS):
        images = torch.randn(5, 3, side, side, generator=torch.Generator().manual_seed(number))
        for parameter in net.parameters():
            parameter.grad = None
        net(images.contiguous(memory_format=torch.channels_last)).logsumexp(1).sum().backward()
        step()


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_filters_move_as_torchs_muon_moves_matrices_and_the_rest_as_momentum(memory_format, weight_decay, monkeypatch):
    monkeypatch.setattr("convscope.training.optim.muon.has_bf16", lambda device: True)
    ours, theirs = network(memory_format), network(memory_format)
    optimizer = make_optimizer("muon", ours, learning_rate=RATE, momentum=MOMENTUM, weight_decay=weight_decay)
    set_rate(optimizer, lambda until: RATE)
    train(ours, optimizer.step)

    # Columns in the order of the memory: Muon computes in bf16, where another order shows in the third digit.
    order = (0, 2, 3, 1) if memory_format == torch.channels_last else (0, 1, 2, 3)
    back = (0, 3, 1, 2) if memory_format == torch.channels_last else (0, 1, 2, 3)

    def matrix_of(filters: torch.Tensor) -> torch.Tensor:
        return filters.detach().permute(order).flatten(1).clone()

    filters = [weight for weight in theirs.parameters() if weight.ndim == 4]
    matrices = [nn.Parameter(matrix_of(weight)) for weight in filters]
    beside = default_learning_rate("sgd", 128) / default_learning_rate("muon", 128) * RATE
    muon = torch.optim.Muon(matrices, lr=RATE, momentum=MOMENTUM, weight_decay=weight_decay, ns_steps=ORTHOGONAL_STEPS)
    rest = [weight for weight in theirs.parameters() if weight.ndim < 4]
    decayed = {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": weight_decay}
    others = {"params": [weight for weight in rest if weight.ndim == 1], "weight_decay": 0.0}
    sgd = torch.optim.SGD([decayed, others], lr=beside, momentum=SGD_MOMENTUM, nesterov=True)

    def step() -> None:
        for weight, matrix in zip(filters, matrices, strict=True):
            matrix.grad = matrix_of(weight.grad)
        muon.step()
        sgd.step()
        for weight, matrix in zip(filters, matrices, strict=True):
            weight.data.copy_(matrix.detach().view(weight.permute(order).shape).permute(back))

    train(theirs, step)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other) if mine.ndim == 4 else torch.allclose(mine, other, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 3), (24, 24), (64, 576)])
def test_without_bf16_the_steps_are_float32s(shape):
    torch.manual_seed(0)
    for matrix in (torch.randn(shape), torch.randn(shape[0], 1) @ torch.randn(1, shape[1]), torch.zeros(shape)):
        exact = matrix.double() / matrix.double().norm().clamp(min=LEAST_NORM)
        for _ in range(ORTHOGONAL_STEPS):
            gram = exact @ exact.T
            a, b, c = COEFFICIENTS
            exact = a * exact + (b * gram + c * gram @ gram) @ exact
        found = orthogonal(matrix, in_bf16=False)
        assert found.dtype == torch.float32 and torch.allclose(found.double(), exact, atol=2e-5)
        # bf16 has eight bits, so that torch's own is as near as that.
        assert torch.allclose(orthogonal(matrix, in_bf16=True).double(), exact, atol=0.1)


@pytest.mark.parametrize("native", [False, True])
def test_products_are_in_bf16_only_where_the_device_has_it(native, monkeypatch):
    asked = set()

    def watched(matrix, *, in_bf16):
        asked.add(in_bf16)
        return orthogonal(matrix, in_bf16=in_bf16)

    monkeypatch.setattr("convscope.training.optim.muon.has_bf16", lambda device: native)
    monkeypatch.setattr("convscope.training.optim.muon.orthogonal", watched)
    net = network(torch.channels_last)
    train(net, make_optimizer("muon", net, learning_rate=RATE, momentum=MOMENTUM, weight_decay=0.0).step)
    assert asked == {native}


def test_filters_of_any_scale_are_brought_to_the_root_of_their_number_first():
    net = build("cifarnet", num_classes=4, image_size=9)
    optimizer = make_optimizer("muon", net, learning_rate=1e-9, momentum=0.6, weight_decay=0.0, batch_size=5)
    train(net, optimizer.step, side=9)
    norms = {name: float(weight.detach().norm()) for name, weight in net.named_parameters() if weight.ndim == 4}
    roots = {name: len(weight) ** 0.5 for name, weight in net.named_parameters() if weight.ndim == 4}
    assert norms == pytest.approx(roots, rel=1e-4)


def test_paces_are_rates_for_each_image_of_a_step_and_a_rate_scales_them_all():
    net = build("cifarnet")
    param_groups = net.param_groups()
    for batch_size in (500, 1000):
        usual = default_learning_rate("muon", batch_size, net)
        optimizer = make_optimizer(
            "muon", net, learning_rate=usual, momentum=0.6, weight_decay=0.0, batch_size=batch_size
        )
        for share in (1.0, 0.5):
            set_rate(optimizer, lambda until, rate=share * usual: rate)
            rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
            found = {name: rates[id(p)] for name, p in net.named_parameters()}
            expected = {
                name: share * (param_groups[name].rate * batch_size if name in param_groups else usual)
                for name in found
            }
            assert found == pytest.approx(expected)


def test_what_learns_for_a_share_of_the_run_is_frozen_after_it():
    net = build("cifarnet")
    optimizer = make_optimizer("muon", net, learning_rate=0.24, momentum=0.6, weight_decay=0.0, batch_size=1000)
    set_rate(optimizer, lambda until: 0.1)
    assert all(weight.requires_grad for weight in net.parameters())
    set_rate(optimizer, lambda until: 0.1 if until == 1 else 0.0)
    assert [name for name, weight in net.named_parameters() if not weight.requires_grad] == ["whiten.bias"]


def test_the_past_is_kept_under_the_networks_own_parameters():
    net = network(torch.channels_last)
    optimizer = make_optimizer("muon", net, learning_rate=RATE, momentum=MOMENTUM, weight_decay=0.0)
    train(net, optimizer.step)
    assert all("momentum_buffer" in optimizer.state[weight] for weight in net.parameters())
    again = copy.deepcopy(net)
    other = make_optimizer("muon", again, learning_rate=RATE, momentum=MOMENTUM, weight_decay=0.0)
    for mine, theirs in zip(again.parameters(), net.parameters(), strict=True):
        other.state[mine].update({slot: value.clone() for slot, value in optimizer.state[theirs].items()})
    for one, step in ((net, optimizer.step), (again, other.step)):
        train(one, step)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_without_momentum_nothing_has_any():
    net = network(torch.contiguous_format)
    optimizer = make_optimizer("muon", net, learning_rate=RATE, momentum=0.0, weight_decay=0.0)
    set_rate(optimizer, lambda until: RATE)
    train(net, optimizer.step)
    before = [weight.detach().clone() for weight in net.parameters() if weight.ndim < 4]
    for weight in net.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    after = [weight.detach() for weight in net.parameters() if weight.ndim < 4]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
