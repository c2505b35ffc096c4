"""What summaries get wrong: each case with its number by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.capture.capture import capture
from convscope.graph.records import TensorSpec


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8, 3, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.weight)


def test_a_bare_parameter_in_a_functional_convolution_is_counted():
    graph = capture(Functional(), (3, 5, 5))
    assert graph.parameter_count == 8 * 3 * 3 * 3 == 216
    assert graph.macs == 216 * 3 * 3 == 1944


def test_a_transposed_convolution_uses_each_weight_once_per_input():
    # 3 channels to 1, kernel 2, on 2x2: 3 * 1 * 2 * 2 weights, four input pixels.
    graph = capture(nn.ConvTranspose2d(3, 1, 2, stride=2), (3, 2, 2))
    assert graph.macs == 12 * 4 == 48
    assert graph.shape(graph.outputs[0]) == (1, 1, 4, 4)


@pytest.mark.parametrize("pooling", [nn.MaxPool2d(3), nn.AvgPool2d(3), nn.AdaptiveAvgPool2d(3), nn.MaxPool2d(2)])
def test_pooling_costs_no_macs(pooling):
    graph = capture(pooling, (3, 12, 12))
    assert graph.macs == 0
    assert graph.uncounted == ()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(10, 10, bias=False)
        self.second = nn.Linear(10, 10, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def test_one_weight_in_two_layers_is_one_parameter_and_two_products():
    graph = capture(Tied(), (10,))
    assert graph.parameter_count == 100
    assert graph.macs == 200
    (shared,) = graph.parameters
    assert shared.names == ("first.weight", "second.weight")


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        for _ in range(3):
            x = self.conv(x)
        return x


def test_a_module_used_three_times_is_three_calls():
    graph = capture(Reused(), (4, 6, 6))
    assert [(n.module, n.call) for n in graph.nodes] == [("conv", 0), ("conv", 1), ("conv", 2)]
    assert graph.parameter_count == 4 * 4 * 9 + 4
    assert graph.macs == 3 * 4 * 4 * 9 * 36
    assert {m.path: m.calls for m in graph.modules} == {"": 1, "conv": 3}


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, stride=2, padding=1)

    def forward(self, x):
        while x.shape[-1] > 4:
            x = self.conv(x)
        return x


@pytest.mark.parametrize(("size", "rounds"), [(4, 0), (8, 1), (33, 4), (64, 4)])
def test_a_loop_whose_length_depends_on_the_input(size, rounds):
    graph = capture(Halves(), (2, size, size))
    assert len(graph.nodes) == rounds


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 8, 3))

    def forward(self, x):
        return self.body(self.stem(x))


def test_a_failing_forward_leaves_the_graph_up_to_there():
    graph = capture(Fails(), (3, 8, 8))
    assert [n.op for n in graph.nodes] == ["convolution", "relu"]
    assert graph.error == (
        "body.0 (Conv2d): convolution of 1x8x6x6 and 8x16x3x3 and 8 failed: it takes 16 channels, and gets 8"
    )


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 9)), (3, 8, 8), "0 (Conv2d): convolution of 1x3x8x8 and 4x3x9x9 and 4 failed: "
         "kernel 9 does not fit: it spans 9, but the axis has 8"),
        (nn.Sequential(nn.MaxPool2d(9)), (3, 8, 8), "0 (MaxPool2d): max_pool2d of 1x3x8x8 failed: kernel 9 does not "
         "fit"),
        (nn.Sequential(nn.Linear(7, 2)), (8,), "0 (Linear): addmm of 2 and 1x8 and 7x2 failed: it takes 7 features, "
         "and gets 8"),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 3, 8, 8), "0 (Conv2d) failed on 1x1x3x8x8: each sample needs "
         "channels, rows and columns; it gets 1x3x8x8 (a shape is that of one sample: 3x8x8 rather than 1x3x8x8?)"),
        (nn.Sequential(nn.BatchNorm2d(4)), (3, 8, 8), "0 (BatchNorm2d) failed on 1x3x8x8: running_mean should contain"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_get_one_line_with_module_and_shapes(model, shape, message):
    error = capture(model, shape).error
    assert error.startswith(message)
    assert "\n" not in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that must be absent")
def test_a_device_that_is_not_there_gets_one_line():
    class Moves(nn.Module):
        def forward(self, x):
            return x.cuda()

    error = capture(nn.Sequential(Moves()), (3,)).error
    assert error == "0 (Moves) failed on 1x3: AssertionError: Torch not compiled with CUDA enabled"


def test_one_and_three_dimensions():
    graph = capture(nn.Conv1d(2, 3, 5, stride=2), (2, 11))
    assert (graph.shape(graph.outputs[0]), graph.macs) == ((1, 3, 4), 3 * 2 * 5 * 4)
    graph = capture(nn.Conv3d(1, 2, 3, padding=1), (1, 4, 5, 6))
    assert (graph.shape(graph.outputs[0]), graph.macs) == ((1, 2, 4, 5, 6), 2 * 27 * 120)


class InPlaceOnAView(nn.Module):
    def forward(self, x):
        x = x * 1
        y = x[:, :1]
        y.add_(x[:, 1:2])
        return x


def test_a_write_through_a_view_changes_the_tensor_that_is_read_later():
    graph = capture(InPlaceOnAView(), (3, 2, 2))
    last = graph.nodes[-1]
    assert (last.op, last.outputs) == ("slice_scatter", graph.outputs)
    written = next(n for n in graph.nodes if n.op == "add")
    assert {path.source for path in last.paths} == {graph.nodes[0].outputs[0], written.outputs[0]}
    assert len({graph.values[v].storage for v in (*graph.nodes[0].outputs, *written.outputs, *graph.outputs)}) == 1


class TwoInputs(nn.Module):
    def forward(self, image, *, extra):
        return {"sum": image + extra["mask"], "parts": [image * 2, (extra["mask"],)]}


def test_several_inputs_and_nested_outputs():
    graph = capture(TwoInputs(), {"image": (3, 4, 4), "extra": {"mask": TensorSpec((1, 1, 4, 4), "float32")}})
    assert graph.error is None
    assert [graph.values[v].name for v in graph.inputs] == ["image", "extra.mask"]
    # Dictionaries are flattened in their own order; the mask goes out as it came in.
    assert [graph.shape(v) for v in graph.outputs] == [(1, 3, 4, 4), (1, 3, 4, 4), (1, 1, 4, 4)]
    assert graph.outputs[2] == graph.inputs[1]


class Branches(nn.Module):
    def forward(self, x):
        return x.relu() if x.shape[-1] > 10 else x.sigmoid()


def test_the_branch_that_was_taken():
    assert [n.op for n in capture(Branches(), (1, 8, 8)).nodes] == ["sigmoid"]
    assert [n.op for n in capture(Branches(), (1, 16, 16)).nodes] == ["relu"]


class Unknown(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x).real


def test_an_unknown_operation_is_listed_never_guessed():
    graph = capture(Unknown(), (4, 4))
    assert [n.target for n in graph.uncounted] == ["aten.linalg_eig.default"]
    assert graph.nodes[0].paths is None


class Grid(nn.Module):
    def forward(self, x):
        rows = torch.arange(x.shape[2], device=x.device)
        return x + rows[None, None, :, None] * torch.tensor([0.5])


def test_what_a_forward_makes_itself_is_constant():
    graph = capture(Grid(), (3, 4, 4))
    kinds = {v.name: v.kind for v in graph.values}
    assert {kinds[name] for name in ("arange", "constant", "mul")} == {"constant"}
    assert graph.nodes[-1].op == "add" and len(graph.nodes[-1].paths) == 1
