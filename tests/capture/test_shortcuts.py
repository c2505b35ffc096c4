"""Results worked out by our own arithmetic are those that torch works out for meta tensors."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.capture.build import build_without_memory
from convscope.capture.capture import capture
from convscope.capture.load import load
from convscope.capture.recording import recorder, templates
from convscope.graph.records import TensorSpec
from dependence import Function


def specs(graph):
    # In evaluation a real batch norm saves empty statistics, as ours does, and a meta one the running ones.
    unused = {v for node in graph.nodes if node.op == "batch_norm" for v in node.outputs[1:]}
    return graph.error, [(value.spec, value.kind) for value in graph.values if value.index not in unused]


@pytest.fixture
def both(monkeypatch):
    """Capture with the shortcuts and without."""

    def run(model, inputs, **settings):
        templates.forget()
        ours = capture(model, inputs, **settings)
        templates.forget()
        with monkeypatch.context() as without:
            without.setattr(recorder, "results_of", lambda target, settings: None)
            torchs = capture(model, inputs, **settings)
        templates.forget()
        assert specs(ours) == specs(torchs)

    return run


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", ["lenet5", "googlenet-2014", "mobilenet_v3_small", "densenet121", "m5", "unet", "c3d"])
def test_on_networks(both, name, mode):
    loaded = load(name)
    both(build_without_memory(loaded.factory), loaded.input_shape, mode=mode, batch_size=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [4, 5, 7, 12])
def test_on_windows(both, size, dtype):
    for kernel, stride, padding, dilation, groups in [
        (3, 1, 1, 1, 1),
        (2, 2, 0, 1, 2),
        (3, 2, 1, 2, 4),
        (5, 3, 4, 1, 1),
    ]:
        settings = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        both(nn.Conv2d(4, 8, groups=groups, **settings).to(dtype), (4, size, size + 1))
        both(nn.Conv1d(4, 8, groups=groups, **settings).to(dtype), (4, size))
        both(nn.ConvTranspose2d(4, 8, groups=groups, **settings).to(dtype), (4, size, size + 1))
        for ceil_mode in (False, True):
            pooling = {"kernel_size": kernel, "stride": stride, "padding": min(padding, kernel // 2)}
            both(nn.MaxPool2d(**pooling, dilation=dilation, ceil_mode=ceil_mode), (4, size, size + 3))
            both(nn.AvgPool2d(**pooling, ceil_mode=ceil_mode), (4, size, size + 3))


ODD = {
    "channels last": (
        lambda x: F.relu(x.contiguous(memory_format=torch.channels_last)), TensorSpec((2, 3, 4, 4), "float32")),
    "whole numbers": (lambda x: F.relu(x) + x / 2 + (x * 1.5), TensorSpec((2, 3), "int64")),
    "transposed": (lambda x: (x.t() @ x).sigmoid().t() + 1, TensorSpec((2, 3), "float32")),
    "in place broadcast": (lambda x: (x * 1).add_(x[0]), TensorSpec((2, 3), "float32")),
    "concat of two types": (lambda x: torch.cat([x, x.double()]), TensorSpec((2, 3), "float32")),
    "mean over all": (lambda x: x.mean((0, -1), keepdim=True) + x.mean(()), TensorSpec((2, 3), "float32")),
    "complex factor": (lambda x: x * 2j, TensorSpec((2, 3), "float32")),
    "tensor bounds": (lambda x: x.clamp(min=x.flip(0)), TensorSpec((2, 3), "float32")),
    "empty": (lambda x: F.relu(x) + 1, TensorSpec((0, 3), "float32")),
    "does not broadcast": (lambda x: x + x[:, :2], TensorSpec((2, 3), "float32")),
    "does not multiply": (lambda x: x @ x, TensorSpec((2, 3), "float32")),
    "no such axis": (lambda x: torch.cat([x, x], 2), TensorSpec((2, 3), "float32")),
    "no such axis of a softmax": (lambda x: x.softmax(-3), TensorSpec((2, 3), "float32")),
    "concat of numbers": (lambda x: torch.cat([x.sum(), x.mean()]), TensorSpec((2, 3), "float32")),
    "no bounds": (lambda x: x.clamp(), TensorSpec((2, 3), "float32")),
    "does not concatenate": (lambda x: torch.cat([x, x[:, :2]]), TensorSpec((2, 3), "float32")),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_on_odd_tensors(both, case):
    function, spec = ODD[case]
    both(Function(function), spec)
