"""What capture records: operations, modules, values, parameters."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.capture.capture import capture
from convscope.capture.recording.tracked_tensors import TrackedTensors
from convscope.errors import CaptureError
from convscope.geometry.relation import ReachStatus
from convscope.graph.reach_walk import walk_back
from dependence import Function


class TwoBranches(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.side = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        y = torch.relu_(self.norm(self.conv(x)))
        y = torch.cat([y, self.side(x)], dim=1)
        return self.head(y.mean((2, 3)))


def test_every_operation_is_recorded_with_its_module():
    graph = capture(TwoBranches(), (3, 16, 16))
    assert [(n.op, n.module) for n in graph.nodes] == [
        ("convolution", "conv"),
        ("batch_norm", "norm"),
        ("relu", ""),
        ("convolution", "side"),
        ("concat", ""),
        ("mean", ""),
        ("transpose", "head"),
        ("linear", "head"),
    ]
    assert graph.error is None
    assert [graph.shape(v) for v in graph.outputs] == [(1, 5)]


def test_arguments_are_complete_and_plain():
    graph = capture(nn.Conv2d(3, 4, 3, stride=2), (3, 9, 9))
    (node,) = graph.nodes
    assert set(node.arguments) == {
        "input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups",
    }  # fmt: skip
    assert node.arguments["stride"] == (2, 2)
    assert graph.values[node.inputs[1]].name == "weight"


def test_a_factory_allocates_no_weight():
    graph = capture(lambda: nn.Linear(100_000, 10_000), (100_000,))
    assert graph.parameter_count == 1_000_010_000


def test_recurrent_layers_are_counted():
    # Two directions, seven steps: 8 inputs and 6 states to 4 gates of 6.
    lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
    graph = capture(lstm, (7, 8))
    assert graph.error is None
    assert graph.macs == 2 * 7 * (8 * 24 + 6 * 24)
    assert graph.uncounted == ()
    assert lstm.weight_ih_l0.device.type == "cpu"


def test_autocast_and_other_devices():
    class Cast(nn.Module):
        def forward(self, x):
            with torch.autocast(x.device.type, dtype=torch.bfloat16):
                return x @ x

    graph = capture(Cast(), (4, 4))
    assert graph.error is None
    assert graph.values[graph.outputs[0]].spec.dtype == "bfloat16"


def test_lazy_modules_get_their_sizes_in_a_copy():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))
    for given in (
        model,
        lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5)),
    ):
        assert capture(given, (3, 8, 8)).parameter_count == 3 * 9 * 4 + 4 + 8 + 4 * 36 * 5 + 5
    assert isinstance(model[0], nn.LazyConv2d) and model.training
    with pytest.raises(CaptureError, match=r"0 \(LazyConv2d\) has no size yet, and a first run fails"):
        capture(nn.Sequential(nn.LazyConv2d(4, 9)), (3, 8, 8))


def test_small_tables_keep_their_numbers_in_a_model_without_memory():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("order", torch.tensor([2, 0, 1]))

        def forward(self, x):
            return x[:, self.order]

    graph = capture(Table, (3, 4))
    (path,) = graph.nodes[0].paths
    assert path.status == ReachStatus.EXACT


class Decorated(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))

    @torch.inference_mode()
    def forward(self, x):
        return self.body(x)


def test_inference_mode_hides_nothing():
    inside = capture(Decorated(), (3, 8, 8))
    with torch.inference_mode():
        around = capture(Decorated().body, (3, 8, 8))
    for graph in inside, around:
        assert [node.op for node in graph.nodes] == ["convolution", "batch_norm", "relu", "max_pool"]
        assert graph.macs == 8 * 6 * 6 * 27


def test_an_exported_network_runs_in_the_mode_that_it_was_exported_in():
    exported = torch.export.export(nn.Conv2d(3, 8, 3).eval(), (torch.zeros(1, 3, 8, 8),)).module()
    assert capture(exported, (3, 8, 8)).macs == 8 * 6 * 6 * 27


def test_what_is_no_network_is_said():
    with pytest.raises(CaptureError, match="'resnet18' is a str: give a"):
        capture("resnet18", (3, 8, 8))


def test_a_missing_axis_is_said():
    error = capture(nn.Sequential(nn.Conv2d(3, 8, 3)), (3, 32)).error
    assert (
        error.startswith("0 (Conv2d)") and "needs channels, rows and columns, 3 channels first; it gets 3x32" in error
    )


def test_an_exception_that_says_only_a_key_is_named():
    class Looks(nn.Module):
        def forward(self, x):
            return {"logits": x}["logit"]

    assert capture(Looks(), (3, 8, 8)).error == "Looks failed on 1x3x8x8: KeyError: 'logit'"


def test_complex_weights_take_complex_inputs() -> None:
    graph = capture(nn.Conv2d(2, 3, 3, dtype=torch.complex64), (2, 6, 6))
    # Torch computes a complex convolution as three real ones.
    assert graph.error is None and graph.macs == 3 * (3 * 2 * 9 * 16)
    assert {graph.values[v].spec.dtype for v in (*graph.inputs, *graph.outputs)} == {"complex64"}


def test_a_bilinear_layer_has_macs() -> None:
    layer = nn.Bilinear(3, 4, 5)
    graph = capture(layer, [(3,), (4,)], batch_size=2)
    assert graph.error is None and graph.uncounted == ()
    assert graph.macs == 2 * (5 * 3 * 4 + 5 * 4)


class Resized(nn.Module):
    """Maps of a size that is read from numbers, looked at through a view, and dropped."""

    def forward(self, x):
        side = int((x.mean() * 0 + 40).item())
        maps = (F.interpolate(x, size=(side, side), mode="bilinear") for _ in range(30))
        return torch.stack([one[:, 0].reshape(-1).argmax() for one in maps])


def test_a_real_run_frees_maps_that_were_read_through_views(monkeypatch):
    held = []
    release = TrackedTensors._release

    def watched(self):
        release(self)
        held.append(sum(tensor.dim() == 4 for tensor in self._held))

    monkeypatch.setattr(TrackedTensors, "_release", watched)
    monkeypatch.setattr("convscope.capture.recording.tracked_tensors.RELEASED_AFTER", 2**15)
    assert capture(Resized(), (4, 8, 8)).error is None
    assert len(held) > 10
    assert max(held) <= 3


@pytest.mark.long  # imports torch's compiler
@pytest.mark.filterwarnings("ignore")
def test_functions_that_an_operator_calls_are_recorded():
    from torch.nn.attention.flex_attention import flex_attention

    def near(score, batch, head, query, key):
        return score - (query - key).abs()

    graph = capture(Function(lambda q, k: flex_attention(q, k, k * 2, score_mod=near)), [(2, 4, 3), (2, 5, 3)])
    assert graph.error is None and not graph.uncounted
    assert graph.macs == 2 * 4 * 5 * (3 + 3)
    field = walk_back(graph, graph.outputs[0], (0, 1, 2, 0))
    assert field.of(graph.inputs[0])[0].any(axis=-1).tolist() == [[False] * 4, [False, False, True, False]]
    assert field.of(graph.inputs[1])[0].any(axis=-1).tolist() == [[False] * 5, [True] * 5]


@pytest.mark.filterwarnings("ignore")  # torch.ao.quantization is deprecated
def test_packed_weights_are_captured_twice():
    model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 2)), {nn.Linear})
    assert [capture(model, (4,)).error for _ in range(2)] == [None, None]
