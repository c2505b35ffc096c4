"""A network with blurred subsampling keeps its sizes and weights' names, moves more with the image, and costs more."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.errors import CaptureError
from convscope.interpret.equivariance.antialiased import antialiased_network
from convscope.interpret.equivariance.meter import equivariance_of
from convscope.interpret.replay.replays import Replays
from convscope.nets.blur_pool import BlurPool2d
from convscope.nets.build import build


class Reused(nn.Module):
    """A block whose one rectifier runs twice, and a shortcut without one."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.shortcut = nn.Conv2d(3, 8, 1, stride=2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        inner = self.relu(self.norm(self.first(x)))
        return self.relu(self.second(inner) + self.shortcut(x)).mean((2, 3))


def test_each_kind_of_strided_layer_is_replaced_and_the_rest_is_left():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1, stride=(2, 1)), nn.Flatten(),
    )  # fmt: skip
    found = antialiased_network(network, (3, 64, 64), name="net")
    assert [(layer.layer, layer.how) for layer in found.blurred] == [
        ("0", "convolution at every pixel, relu, blur, subsampling"),
        ("3", "maximum at every pixel, blur, subsampling"),
        ("4", "convolution at every pixel, blur, subsampling"),
    ]
    assert found.kept == (("6", "its stride is 2x1, not 2x2"),)
    assert isinstance(found.network[2][1], BlurPool2d), "the blur follows the activation"
    assert type(network[0]) is nn.Conv2d and network[0].stride == (2, 2), "the network itself is left"
    assert found.blurred[0].macs_after == 4 * found.blurred[0].macs_before
    assert "convolution at every pixel" in str(found) and "4×" in str(found)
    assert found.macs_after > found.macs_before and found.cost == found.macs_after / found.macs_before


def test_a_rectifier_that_runs_twice_is_blurred_where_it_is_read():
    found = antialiased_network(Reused(), (3, 16, 16))
    assert [(layer.layer, layer.how) for layer in found.blurred] == [
        ("first", "convolution at every pixel, relu, blur, subsampling"),
        ("shortcut", "blur and subsampling, then the convolution"),
    ]
    assert isinstance(found.network.second.before, BlurPool2d) and found.network.first.stride == (1, 1)
    assert isinstance(found.network.shortcut.before, BlurPool2d)
    shortcut = found.blurred[1]
    assert shortcut.macs_after == shortcut.macs_before
    assert list(found.network.state_dict()) == list(Reused().state_dict())


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("mobilenet_v2", 32), ("cifarnet-tiny", 32)])
def test_networks_keep_their_state_and_their_sizes(name, size):
    network = build(name, num_classes=10, image_size=(size, size)).eval()
    found = antialiased_network(network, (3, size, size), name=name)
    assert found.blurred and list(found.network.state_dict()) == list(network.state_dict())
    found.network.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert found.network(torch.rand(2, 3, size, size)).shape == (2, 10)


def test_the_blurred_network_moves_more_with_the_image():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.MaxPool2d(2),
    )  # fmt: skip
    image = torch.tensor(np.random.default_rng(0).normal(size=(1, 1, 32, 32)), dtype=torch.float32)
    errors = []
    for one in (network, antialiased_network(network, (1, 32, 32)).network):
        found = equivariance_of(Replays(one, name="net"), image, shifts=(1, 2))
        errors.append(found.layers[-1].subsampling)
        assert found.layers[-1].inside < 1e-6
    assert errors[1] < 0.8 * errors[0]


def test_the_record_has_its_forms_and_says_that_it_must_be_trained():
    found = antialiased_network(Reused(), (3, 16, 16), name="net")
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [layer["layer"] for layer in written["blurred"]] == ["first", "shortcut"]
    assert "train it for 1 or 2 epochs" in str(found) and "to be trained further" in found.headline()


def test_what_can_not_be_blurred_is_one_line():
    with pytest.raises(CaptureError, match="nothing to blur: no pooling"):
        antialiased_network(nn.Sequential(nn.Conv2d(1, 1, 3)), (1, 8, 8))
    for alone in (nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, stride=2)):
        with pytest.raises(CaptureError, match="is kept, it is the whole network: put it in an nn"):
            antialiased_network(alone, (3, 16, 16))
    with pytest.raises(CaptureError, match="nothing to blur: 0 is kept, its size is rounded up"):
        antialiased_network(nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), (1, 9, 9))
    with pytest.raises(CaptureError, match="does not run"):
        antialiased_network(nn.Sequential(nn.Conv2d(1, 1, 3)), (2, 8, 8))


def test_the_network_to_train_further_stays_on_the_models_device(monkeypatch):
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())
    monkeypatch.setattr("convscope.interpret.explanation.explain.on_cpu", lambda module, *, name: nn.Identity())
    found = convscope.antialiased(network, (3, 16, 16)).network
    assert found is not network and torch.equal(found[0].weight, network[0].weight)
