"""A channel knocked out equals the network with those values set by hand; means and classes are those of NumPy."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.behaviour.knock_out import channel_knock_out
from convscope.interpret.behaviour.network_tail import Tail
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.5,), (0.25,))


def images(count: int = 30, side: int = 8, classes: int = 3) -> ImageSet:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (count, side, side, 1), np.uint8)
    return ImageSet(pixels, draw.integers(0, classes, count), [f"{number}" for number in range(count)])


class Skipping(nn.Module):
    """Two convolutions with a branch past the second, in-place rectifiers, and one that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.second, self.fc = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = self.relu(self.second(x) + x)
        return self.fc(x.mean((2, 3)))


@pytest.fixture
def network() -> nn.Module:
    return Skipping().eval()


@pytest.mark.parametrize("layer", ["first", "norm", "relu", "second", "relu#2"])
def test_a_channel_knocked_out_equals_values_set_by_hand(network: nn.Module, layer: str) -> None:
    data = images()
    batch = to_floats(data.images, PLAIN)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    replays = Replays(network)
    found = channel_knock_out(replays, data, PLAIN, layer=layer, channels=(2, 0), batch_size=7)
    run = Replays(network).on(batch)
    value = run.value(run.names.of_value(run.find(layer)))
    means = value.mean((0, 2, 3))
    np.testing.assert_allclose(found.means, means.numpy(), rtol=1e-5, atol=1e-6)
    own = run.class_scores.argmax(1).numpy()
    for place, channel in enumerate((2, 0)):
        for level, right in ((float(means[channel]), found.right_mean), (0.0, found.right_zero)):
            numbers = value.clone()
            numbers[:, channel] = level
            scores = Replays(network).class_scores_given({layer: numbers}, batch)
            expected = scores.argmax(1).numpy()
            counts = [int(((expected == data.labels) & (data.labels == c)).sum()) for c in range(3)]
            assert right[place].tolist() == counts
        assert found.knocked[place].channels == (channel,)
    assert found.right.sum() == (own == data.labels).sum()
    assert found.images_of_class.tolist() == np.bincount(data.labels, minlength=3).tolist()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.training and not any(module._forward_hooks for module in network.modules())


def test_the_tail_gives_the_networks_scores_again_and_again(network: nn.Module) -> None:
    batch = torch.randn(5, 1, 8, 8)
    tail = Tail(Replays(network), "relu", batch)
    for _ in range(2):
        torch.testing.assert_close(tail.class_scores(tail.value), network(batch), rtol=0, atol=0)
        other = tail.class_scores(torch.zeros_like(tail.value))
        torch.testing.assert_close(other, Replays(network).class_scores_given({"relu": tail.value * 0}, batch))


def test_a_whole_layer_at_once_leaves_one_answer_for_all_images() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    found = channel_knock_out(Replays(network), images(), PLAIN, layer="1", together=True)
    assert len(found.knocked) == 1 and found.knocked[0].channels == (0, 1, 2, 3)
    answer = int(network[3].bias.argmax())
    expected = [0, 0, 0]
    expected[answer] = int(found.images_of_class[answer])
    assert found.right_zero[0].tolist() == expected


def test_the_class_that_needs_a_channel_suffers() -> None:
    # The class is which half is light; channel 0 sees the left one, channel 1 the right one, channel 2 nothing.
    network = nn.Sequential(nn.Conv2d(1, 3, (1, 4), stride=(1, 4), bias=False), nn.AdaptiveMaxPool2d((1, 2)),
                            nn.Flatten(), nn.Linear(6, 2)).eval()  # fmt: skip
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([1.0, 1.0, 0.0])[:, None, None, None]
        network[3].weight[:] = 0
        network[3].weight[0, 0] = network[3].weight[1, 3] = 1
        network[3].bias[:] = torch.tensor([0.0, 0.5])
    pixels = np.zeros((20, 8, 8, 1), np.uint8)
    pixels[:10, :, :4] = pixels[10:, :, 4:] = 255
    data = ImageSet(pixels, np.arange(20) // 10, [""] * 20)
    found = channel_knock_out(
        Replays(network, name="net"), data, Normalization((0.0,), (1.0,)), layer="0", classes=("l", "r")
    )
    assert found.accuracy == 1
    assert found.right_zero[0].tolist() == [0, 10] and found.right_zero[2].tolist() == [10, 10]
    assert found.by_harm()[-1] == 2 or found.right_mean[2].sum() == 20
    assert found.changes(zero=True)[0].tolist() == [-1, 0]


def test_zero_off_the_data_and_normalization_are_said(network: nn.Module) -> None:
    with torch.no_grad():
        network.first.bias[:] = 50.0
    found = channel_knock_out(Replays(network, name="net"), images(), PLAIN, layer="first")
    said = " ".join(found.remarks())
    assert found.zero_off_data.all() and "off the data" in said and "batch_norm reads first" in said
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert '"normalized_by": "batch_norm"' in text and "<svg" in found.svg and "accuracy, zero" in str(found)


def test_an_interrupt_returns_the_images_that_are_done(network: nn.Module) -> None:
    def stop(done: int, total: int, what: str) -> None:
        if "knocking" in what and done >= 14:
            raise KeyboardInterrupt

    found = channel_knock_out(Replays(network), images(), PLAIN, layer="relu", batch_size=7, progress=stop)
    assert found.images == 14 and "interrupted" in next(found.remarks())


def test_bad_input_is_one_line(network: nn.Module) -> None:
    replays, data = Replays(network), images()
    with pytest.raises(CaptureError, match="second"):
        channel_knock_out(replays, data, PLAIN, layer="secnd")
    with pytest.raises(GeometryError, match="9 is none"):
        channel_knock_out(replays, data, PLAIN, layer="relu", channels=(9,))
    with pytest.raises(DataError, match="network has 3 classes"):
        channel_knock_out(replays, images(classes=9), PLAIN, layer="relu")
    several = ImageSet(data.images, np.full(30, -1), data.names, np.ones((30, 3), np.uint8))
    with pytest.raises(DataError, match="several labels"):
        channel_knock_out(replays, several, PLAIN, layer="relu")
    with pytest.raises(DataError, match="no images"):
        channel_knock_out(replays, data.part(slice(0, 0)), PLAIN, layer="relu")
