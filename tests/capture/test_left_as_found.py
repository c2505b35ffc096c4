"""A captured model is exactly as it was, also when its forward fails."""

import copy
import random
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from convscope.capture.capture import capture


class Busy(nn.Module):
    """Does to itself what forwards do: counts, draws, replaces a buffer, fails on demand."""

    def __init__(self, fails=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(1))
        self.fails = fails
        self.history = []
        self.cache = {"kept": 1}

    def forward(self, x):
        x = self.drop(self.norm(self.conv(x)))
        self.seen = self.seen + 1
        self.seen.add_(1)
        self.history.append(x)
        self.cache[x.shape] = x
        self.latest = x
        random.random()
        np.random.rand()  # noqa: NPY002 - users' forwards draw from the global state
        if self.fails:
            return x.view(-1, 7)
        if torch.rand(()) > 2:
            return x
        return x + torch.randn_like(x)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("mode", ["eval", "train", "as is"])
def test_modes_buffers_gradients_hooks_and_random_states(mode, fails):
    model = Busy(fails)
    model.norm.eval()
    model.conv.bias.requires_grad_(False)
    model(torch.rand(2, 3, 9, 9)) if not fails else None
    model.conv.weight.grad = torch.ones_like(model.conv.weight)
    fired = []
    model.conv.register_forward_hook(lambda *_: fired.append(1))
    before = copy.deepcopy({**model.state_dict(), "seen": model.seen})
    seen, versions = model.seen, {name: p._version for name, p in model.named_parameters()}
    flags = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    needs = [p.requires_grad for p in model.parameters()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    call = nn.Module.__call__

    attributes = [dict(m.__dict__) for m in model.modules()]
    history, cache = model.history.copy(), model.cache.copy()

    graph = capture(model, (3, 8, 8), mode=mode)

    assert [m.__dict__.keys() for m in model.modules()] == [before.keys() for before in attributes]
    assert all(m.__dict__[k] is v for m, old in zip(model.modules(), attributes, strict=True) for k, v in old.items())
    assert len(model.history) == len(history) and list(model.cache) == list(cache)
    assert (graph.error is not None) is fails
    assert nn.Module.__call__ is call
    assert [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == flags
    assert [p.requires_grad for p in model.parameters()] == needs
    assert model.seen is seen
    assert {name: p._version for name, p in model.named_parameters()} == versions
    after = {**model.state_dict(), "seen": model.seen}
    assert all(torch.equal(after[key], saved) for key, saved in before.items())
    assert torch.equal(model.conv.weight.grad, torch.ones_like(model.conv.weight))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()  # noqa: NPY002


class AsksForNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        with torch.no_grad():
            self.weight.mul_(2)
        x = self.norm(x)
        return x * 2 if x.mean() < 100 else x


def test_a_real_run_gives_back_what_it_wrote():
    model = AsksForNumbers()
    before = copy.deepcopy(model.state_dict())
    graph = capture(model, (3, 4, 4), mode="train")
    assert graph.error is None
    assert graph.notes == ("the forward pass asks for numbers, so it was run for real, on random input",)
    assert graph.nodes[-1].op == "mul"
    after = model.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_threads_of_others_pass_through():
    import threading

    bystander = nn.Linear(3, 3)
    results = []

    class Waits(nn.Module):
        def forward(self, x):
            thread = threading.Thread(target=lambda: results.append(bystander(torch.ones(1, 3))))
            thread.start()
            thread.join()
            return x + 1

    graph = capture(Waits(), (3,))
    assert [node.op for node in graph.nodes] == ["add"]
    assert not results[0].is_meta


class Remembers(nn.Module):
    """Keeps what it computes: in new and old attributes, a list, a dict, a buffer, a layer made on the way."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.last, self.features, self.by_name, self.head = None, [], {"kept": 1}, None

    def forward(self, x):
        self.last = self.new = self.by_name["conv"] = self.conv(x)
        self.features.append(self.last)
        self.register_buffer("size", torch.ones(2))
        if self.head is None:
            self.head = nn.Linear(4, 2)
        return self.head(self.last.mean((2, 3)))


def test_what_a_forward_keeps_in_attributes_is_taken_out_again():
    model = Remembers()
    graph = capture(model, (3, 8, 8))
    assert graph.error is None
    assert model.last is None and model.head is None and not hasattr(model, "new")
    assert model.features == [] and model.by_name == {"kept": 1}
    assert set(model.state_dict()) == {"conv.weight", "conv.bias"}
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 2) and len(model.features) == 1


def test_a_run_on_numbers_holds_no_more_than_the_network_does():
    alive = []

    class Reads(nn.Module):
        def forward(self, x):
            made = []
            base = x.repeat(2**20, 1)
            view = base[1:]
            for _ in range(24):
                x = base * x.sum().item()  # 16 MB each
                made.append(weakref.ref(x))
            alive.append(sum(one() is not None for one in made))
            view.add_(1)
            return base.sum() + x.sum()

    graph = capture(Reads(), (4,))
    assert graph.error is None and graph.notes
    assert alive[-1] <= 12
    # What was written through a view is still found after a release.
    assert graph.nodes[-1].op == "add" and any(node.op == "slice_scatter" for node in graph.nodes)


class KeepsItsWeightsShort(nn.Conv2d):
    """Gives its weight other memory, as networks with a largest norm do, and asks for numbers."""

    def forward(self, x):
        self.weight.data.mul_(2)
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 0.1)
        return super().forward(x if x.sum().item() > -1e9 else -x)


def test_weights_that_a_forward_gives_other_memory_are_given_back():
    model = KeepsItsWeightsShort(1, 2, 3)
    weight, before = model.weight, model.weight.detach().clone()
    pointer = weight.data_ptr()
    graph = capture(model, (1, 8, 8))
    assert graph.error is None and graph.nodes[-1].op == "convolution"
    assert model.weight is weight and weight.data_ptr() == pointer and torch.equal(weight, before)


class WritesIntoParts(nn.Module):
    """Counts in a part of a buffer, keeps what it sees in a plain list, and asks for numbers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("counts", torch.zeros(3))
        self.scale = nn.Parameter(torch.ones(3))
        self.kept = [torch.zeros(2, 3)]

    def forward(self, x):
        self.counts[1] += 1
        self.scale.data[:2].mul_(2)
        self.kept[0][0].copy_(x[0])
        return x * self.scale if x.sum().item() > -1e9 else x


def test_what_a_real_run_writes_into_parts_is_given_back():
    model = WritesIntoParts()
    graph = capture(model, (3,))
    assert graph.error is None and graph.notes
    assert not model.counts.any() and not model.kept[0].any() and (model.scale == 1).all()


class WritesIntoSharedMemory(nn.Module):
    """Reshapes a buffer before it is written, writes a buffer and a part of it, and one that repeats a number."""

    def __init__(self):
        super().__init__()
        self.register_buffer("turned", torch.zeros(2, 3))
        self.register_buffer("whole", torch.zeros(4))
        self.register_buffer("part", self.whole[:2])
        self.register_buffer("repeated", torch.zeros(1).expand(3))

    def forward(self, x):
        self.turned.t_()
        self.turned.add_(1)
        self.whole.add_(1)
        self.part.add_(1)
        self.repeated[0].add_(1)
        return x * self.part[0] if x.sum().item() > -1e9 else x


def test_what_a_real_run_writes_into_shared_memory_is_given_back():
    model = WritesIntoSharedMemory()
    graph = capture(model, (3,))
    assert graph.error is None and graph.notes
    assert model.turned.shape == (2, 3)
    assert {name: float(buffer.abs().sum()) for name, buffer in model.named_buffers()} == dict.fromkeys(
        ("turned", "whole", "part", "repeated"), 0.0
    )


class Counts(nn.Module):
    """Keeps in TorchScript what it has seen: a number, a list and a tensor."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.register_buffer("seen", torch.zeros(()))
        self.steps, self.sizes, self.last = 0, [7], torch.zeros(1)

    def forward(self, x: torch.Tensor):
        self.seen.add_(1)
        self.steps += 1
        self.sizes.append(x.shape[2])
        self.last = x
        return self.norm(self.conv(x)).mean([2, 3])


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("training", [True, False])
def test_what_torchscript_holds_is_given_back(training):
    for model in (torch.jit.script(Counts()), torch.jit.trace(nn.Conv2d(3, 4, 3), torch.ones(1, 3, 8, 8))):
        model.train(training)
        assert capture(model, (3, 8, 8)).error is None
        assert [module.training for module in model.modules()] == [training] * len(list(model.modules()))
        if hasattr(model, "steps"):
            assert (model.steps, model.sizes, model.last.tolist(), float(model.seen)) == (0, [7], [0.0], 0.0)
