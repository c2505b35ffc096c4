"""What autograd keeps: our bytes are those of a real training step."""

import gc
import weakref

import pytest
import torch
from torch import nn

from convscope.capture.capture import capture, training_memory
from convscope.capture.inputs import SampleSpec
from convscope.errors import CaptureError
from convscope.graph.memory import forward_memory, saved_bytes
from convscope.graph.records import TensorSpec
from convscope.interpret.inspection.record import inspect
from convscope.nets.build import build


def really_saved(model, x):
    """Bytes of memory that autograd holds after a forward pass on numbers, weights and buffers left out."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    held = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = (storage.nbytes(), storage)  # the storage stays, so no address comes twice
        return tensor.detach()  # an output that its own graph holds would never be freed

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = model(x)
    assert result is not None
    return sum(size for size, _ in held.values())


NETWORKS = {
    "lenet5": (1, 32, 32),
    "alexnet-mini": (3, 32, 32),
    "resnet18": (3, 64, 64),
    "resnet50": (3, 32, 32),
    "googlenet": (3, 64, 64),
    "densenet121": (3, 64, 64),
    "mobilenet_v2": (3, 64, 64),
    "mobilenet_v3_small": (3, 64, 64),
    "convnext_tiny": (3, 64, 64),
    "unet-same": (1, 32, 32),
    "m5": (1, 4000),
    "r3d_18": (3, 8, 32, 32),
    "seresnet50": (3, 32, 32),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_bytes_are_those_of_a_real_step(name):
    channels, *sizes = NETWORKS[name]
    network = build(name, in_channels=channels, image_size=tuple(sizes), num_classes=10)
    graph = capture(network, NETWORKS[name], mode="train", batch_size=2, gradients=True)
    assert graph.error is None
    assert sum(saved_bytes(graph).values()) == really_saved(network, torch.rand(2, channels, *sizes))
    by_batch = training_memory(network, NETWORKS[name])
    assert by_batch.at(5).saved == really_saved(network, torch.rand(5, channels, *sizes))


def test_nothing_of_a_network_stays_when_it_is_gone():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))
    weights = [weakref.ref(parameter) for parameter in network.parameters()]
    capture(network, (3, 6, 6), mode="train", batch_size=2, gradients=True)
    training_memory(network, (3, 6, 6))
    inspect(network, (3, 6, 6)).to_html()
    del network
    gc.collect()
    assert not any(weight() is not None for weight in weights)


def test_each_layer_keeps_what_its_backward_needs():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Sigmoid(), nn.GELU())
    graph = capture(model, (3, 6, 6), mode="train", batch_size=2, gradients=True)
    kept = {graph.nodes[n].module: size for n, size in saved_bytes(graph).items()}
    one = 2 * 4 * 4 * 4  # a channel of two samples in float32
    # The input; the convolution's output with mean and deviation; the result of the ReLU, which the next
    # convolution shares; the results of the Sigmoid, which the GELU shares.
    assert kept == {"0": 2 * 3 * 36 * 4, "1": 8 * one + 2 * 8 * 4, "2": 8 * one, "4": 4 * one}


def test_frozen_layers_keep_nothing():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 2))
    model[0].requires_grad_(False)
    model[2].requires_grad_(False)
    graph = capture(model, (3, 8, 8), mode="train", batch_size=2, gradients=True)
    assert {graph.nodes[n].module for n in saved_bytes(graph)} == {"4"}


def test_a_step_is_weights_gradients_optimizer_and_what_is_kept():
    memory = training_memory(nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10)), (100,))
    step = memory.at(32, optimizer="adam")
    parameters = (100 * 50 + 50 + 50 * 10 + 10) * 4
    assert (step.weights, step.gradients, step.optimizer) == (parameters, parameters, 2 * parameters)
    assert step.saved == 32 * (100 + 50) * 4
    # After the forward pass the output is there too; then its gradient, and that of the ReLU's result.
    assert step.passing >= 32 * 10 * 4
    assert step.total == 4 * parameters + step.saved + step.passing
    assert memory.at(1).optimizer == 0


def test_the_largest_batch_is_the_last_that_fits():
    memory = training_memory(lambda: build("resnet18"), (3, 224, 224))
    limit = 8 * 2**30
    largest = memory.largest_batch(limit, optimizer="momentum")
    assert memory.at(largest, optimizer="momentum").total <= limit < memory.at(largest + 1, optimizer="momentum").total
    assert memory.largest_batch(1000) == 0


def test_a_forward_pass_holds_what_is_still_to_be_read():
    class Skip(nn.Module):
        def forward(self, x):
            y = x.exp()
            z = y.sin().cos()
            return (y + z).sum()

    graph = capture(Skip(), (1000,))
    # At worst the input, y, sin(y) and its cosine are there.
    assert forward_memory(graph).peak_bytes == 4 * 4000
    in_place = capture(nn.Sequential(nn.ReLU(inplace=True), nn.ReLU(inplace=True)), (1000,))
    assert forward_memory(in_place).peak_bytes == 4000


def test_a_network_that_changes_with_the_batch_has_no_law():
    class ByBatch(nn.Module):
        def forward(self, x):
            return x if x.shape[0] == 2 else x.exp()

    with pytest.raises(CaptureError, match="runs different operations on 2 and 3 samples"):
        training_memory(ByBatch(), (3,))
    with pytest.raises(CaptureError, match="which failed: Linear: addmm"):
        training_memory(nn.Linear(3, 4), (5,))


class TimeFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return (x * self.scale).sum(0)


@pytest.mark.parametrize(
    "given", [torch.zeros(2, 3, 8, 8), TensorSpec((2, 3, 8, 8), "float32")], ids=["tensor", "spec"]
)
def test_inputs_with_a_batch_of_their_own_say_nothing_of_others(given):
    with pytest.raises(CaptureError, match="give the shape of one sample, without a batch"):
        training_memory(nn.Conv2d(3, 4, 3), given)


def test_the_batch_may_be_any_axis_of_any_input():
    steps = SampleSpec((5, 4), batch_axis=1)
    assert training_memory(TimeFirst(), [steps]).at(7).saved == 5 * 7 * 4 * 4
