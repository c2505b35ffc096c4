"""What is read outside the graph, or by training alone, is no fault; what no optimizer sees is one."""

import pytest
import torch
from torch import nn

from convscope.interpret.inspection.record import inspect


class Watched(nn.Module):
    """A network beside whose answer a second convolution runs, with which `self.look` does something."""

    def __init__(self):
        super().__init__()
        self.conv, self.aside, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 1, 1), nn.Linear(8, 2)
        self.register_buffer("mean", torch.zeros(()))
        self.history = []

    def forward(self, x):
        x = self.conv(x)
        self.look(self.aside(x))
        return self.head(x.mean((2, 3)))


def asserted(model, y):
    assert y.isfinite().all()


def kept_in_a_buffer(model, y):
    model.mean.mul_(0.9).add_(0.1 * y.mean())


def kept_in_an_attribute(model, y):
    model.last = y.mean().detach()


LOOKS = {
    "if": lambda model, y: 1 if y.mean() > 0 else 0,
    "item": lambda model, y: y.mean().item(),
    "assert": asserted,
    "print": lambda model, y: print(y.mean()),
    "format": lambda model, y: f"{y.mean():.3f}",
    "buffer": kept_in_a_buffer,
    "attribute": kept_in_an_attribute,
    "list": lambda model, y: model.history.append(y.detach()),
    "numpy": lambda model, y: y.detach().cpu().numpy().mean(),
    "tolist": lambda model, y: y.detach().tolist(),
}


@pytest.mark.parametrize("how", LOOKS)
def test_what_python_reads_or_keeps_is_no_dead_branch(how, capsys):
    model = type(how, (Watched,), {"look": LOOKS[how]})()
    inspection = inspect(model, (3, 8, 8))
    assert inspection.error is None
    assert "dead-branch" not in {warning.kind for warning in inspection.warnings}
    assert not model.history and not hasattr(model, "last")


def test_a_result_that_is_dropped_is_a_dead_branch():
    for look in (lambda model, y: None, lambda model, y: y.mean().detach()):
        [warning] = [w for w in inspect(type("Net", (Watched,), {"look": look})(), (3, 8, 8)).warnings
                     if w.kind == "dead-branch"]  # fmt: skip
        assert warning.severity == "warning"


class Auxiliary(nn.Module):
    def __init__(self, computed: bool):
        super().__init__()
        self.body, self.side, self.head = nn.Linear(8, 8), nn.Linear(8, 2), nn.Linear(8, 2)
        self.computed = computed

    def forward(self, x):
        x = self.body(x)
        side = self.side(x) if self.computed or self.training else None
        return (self.head(x), side) if self.training else self.head(x)


@pytest.mark.parametrize(("computed", "kind"), [(False, "unused-parameters"), (True, "dead-branch")])
def test_a_head_that_only_training_uses_is_a_note(computed, kind):
    [warning] = inspect(Auxiliary(computed), (8,)).warnings
    assert (warning.kind, warning.severity, warning.layer) == (kind, "note", "side")
    assert "only training uses" in warning.message


class Unregistered(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = [nn.Linear(8, 8), nn.Linear(8, 8)]
        self.scale = [nn.Parameter(torch.ones(8))]
        self.frozen = [nn.Linear(8, 8).requires_grad_(False)]  # on purpose: a network that gives a loss

    def forward(self, x):
        for part in (*self.parts, *self.frozen):
            x = part(x)
        return nn.Linear(8, 2)(x * self.scale[0])


def test_parameters_that_no_optimizer_sees_are_warned_of():
    found = inspect(nn.Sequential(nn.Linear(8, 8), Unregistered()), (8,)).warnings
    assert {w.kind for w in found} == {"unregistered-parameters"}
    # 2 · (8 · 8 + 8) in the list and 8 · 2 + 2 of the layer that is made anew in every forward pass.
    assert [(w.layer, w.evidence.split(",")[0]) for w in found] == [("1", "162 parameters"), ("1", "8 parameters")]
    assert "runs layers of class Linear" in found[0].message


class Attention(nn.Module):
    def __init__(self, batch_first: bool):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=batch_first)

    def forward(self, x):
        x = x.flatten(2)
        x = x.transpose(1, 2) if self.attention.batch_first else x.permute(2, 0, 1)
        return self.attention(x, x, x)[0]


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_projections_of_attention_weigh_no_positions(batch_first):
    for side in (1, 4):
        assert not [w for w in inspect(Attention(batch_first), (16, side, side)).warnings if w.kind == "heavy-linear"]


class Coordinates(nn.Module):
    """A network that adds what a convolution makes of coordinates, which depend on no input."""

    def __init__(self, *, used):
        super().__init__()
        self.conv, self.where = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
        self.used = used

    def forward(self, x):
        rows = torch.linspace(-1, 1, x.shape[2])[:, None].expand(1, 1, *x.shape[2:])
        where = self.where(rows)
        return self.conv(x) + where if self.used else self.conv(x)


def test_a_branch_of_constants_is_dead_only_where_nothing_reads_it():
    assert not inspect(Coordinates(used=True), (1, 8, 8)).warnings
    [warning] = inspect(Coordinates(used=False), (1, 8, 8)).warnings
    assert (warning.kind, warning.layer) == ("dead-branch", "where")
    assert warning.evidence == "1 layer, 64 MACs and 2 parameters behind it are computed for nothing"


def test_one_of_a_thing_has_no_plural():
    [note] = inspect(nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)), (1, 8, 8)).warnings
    assert note.evidence == "1 parameter, with gradients and optimizer state, for nothing"
