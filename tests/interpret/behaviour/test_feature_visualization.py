"""Pictures excite their channels more than the data does, from a shut rectifier too, and leave the model alone."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.behaviour.feature_visualization import feature_visualization
from convscope.interpret.behaviour.fourier_image import FourierImages, colour_statistics
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.5,), (0.25,))
COLOUR = Normalization((0.5,) * 3, (0.25,) * 3)


def images(count: int = 12, channels: int = 1, side: int = 12) -> ImageSet:
    pixels = np.random.default_rng(0).integers(100, 156, (count, side, side, channels), np.uint8)
    return ImageSet(pixels, np.zeros(count, np.int64), [""] * count)


def network(channels: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(),
                         nn.Flatten(), nn.Linear(400, 3)).eval()  # fmt: skip


def test_pictures_reach_more_than_the_data_and_the_model_stays_as_it_was() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    found = feature_visualization(Replays(model, name="net"), images(), PLAIN, layer="1", channels=(2, 0), steps=64)
    assert found.pictures.shape == (2, 12, 12, 1) and found.channels == (2, 0)
    assert (found.reached > found.largest).all() and not found.unexplained and (found.shares > 1).all()
    assert (found.growth[-1] > found.growth[0]).all()
    # What is said to be reached is what the network gives for the picture.
    with torch.no_grad():
        maps = torch.relu(model[0](to_floats(found.pictures, PLAIN)))
    np.testing.assert_allclose(found.reached, [float(maps[0, 2].max()), float(maps[1, 0].max())], rtol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state) and not model.training
    again = feature_visualization(Replays(model), images(), PLAIN, layer="1", channels=(2, 0), steps=64)
    assert (again.pictures == found.pictures).all()
    json.dumps(found.to_dict(), allow_nan=False)
    assert "<svg" in found.svg and "largest in the data" in str(found) and "growth" in found.arrays()


def test_a_channel_that_starts_shut_is_opened() -> None:
    model = network()
    with torch.no_grad():
        model[0].weight[1] = -1.0
        model[0].bias[1] = -8.0  # shut for the grey at the start; open for dark
    found = feature_visualization(Replays(model), images(), PLAIN, layer="1", channels=(1,), steps=96)
    assert found.growth[0, 0] < 0.05 and found.reached[0] > 1


def test_it_stops_by_itself_and_when_interrupted() -> None:
    def stop(done: int, total: int, what: str) -> None:
        if "visualizing" in what and done == 5:
            raise KeyboardInterrupt

    replays = Replays(network())
    found = feature_visualization(replays, images(), PLAIN, layer="3", steps=100, progress=stop)
    assert found.interrupted and len(found.growth) == 5 and "interrupted after 5 of 100" in str(found)
    still = network()
    with torch.no_grad():
        still[0].weight[:] = 0
    found = feature_visualization(Replays(still), images(), PLAIN, layer="1", steps=100)
    assert not found.interrupted and len(found.growth) == 48


def test_a_network_that_takes_one_picture_at_a_time_makes_the_same() -> None:
    class OneAtATime(nn.Module):
        def __init__(self, rows: int) -> None:
            super().__init__()
            self.body, self.rows = network(), rows

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.body(x)
            return found.reshape(self.rows or len(x), *found.shape[1:])

    one, twin = (
        feature_visualization(Replays(OneAtATime(rows)), images(), PLAIN, layer="body.1", channels=(2, 0), steps=3)
        for rows in (1, 0)
    )
    np.testing.assert_allclose(one.growth, twin.growth, rtol=1e-4)
    np.testing.assert_allclose(one.reached, twin.reached, rtol=1e-4)


def test_a_batch_may_run_more_operations_than_one_picture() -> None:
    class Reshaped(nn.Module):
        def __init__(self, *, reshaped: bool) -> None:
            super().__init__()
            self.body, self.reshaped = network(channels=3), reshaped

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # Of several pictures this copies, of one it is a view.
            beside = x.permute(1, 0, 2, 3).flatten(0, 1).mean() if self.reshaped else x.mean()
            found: torch.Tensor = self.body(x + 0 * beside)
            return found

    found, twin = (
        feature_visualization(
            Replays(Reshaped(reshaped=each)), images(channels=3), COLOUR, layer="body.1", channels=(2, 0), steps=3
        )
        for each in (True, False)
    )
    np.testing.assert_allclose(found.growth, twin.growth, rtol=1e-4)
    np.testing.assert_allclose(found.reached, twin.reached, rtol=1e-4)


def test_colours_are_those_of_the_data() -> None:
    draw = np.random.default_rng(0)
    grey = draw.integers(0, 256, (6, 8, 8, 1), np.uint8).repeat(3, axis=3)
    mean, root = colour_statistics(ImageSet(grey, np.zeros(6, np.int64), [""] * 6))
    colours = grey.reshape(-1, 3) / 255
    np.testing.assert_allclose(root @ root, np.cov(colours.T, bias=True), atol=1e-9)
    np.testing.assert_allclose(mean, colours.mean(0))
    levels = FourierImages(1, (16, 15), mean=mean, colours=root, seed=1).levels().detach()
    torch.testing.assert_close(levels[:, 0], levels[:, 2], rtol=0, atol=1e-5)
    assert tuple(levels.shape) == (1, 3, 16, 15)


def test_large_pictures_are_reduced_where_the_network_takes_them() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    found = feature_visualization(Replays(model), images(2, side=140), PLAIN, layer="1", steps=1)
    assert found.pictures.shape == (2, 128, 128, 1)
    fixed = nn.Sequential(nn.Conv2d(1, 2, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 35 * 35, 2))
    found = feature_visualization(Replays(fixed), images(2, side=140), PLAIN, layer="1", steps=1)
    assert found.pictures.shape == (2, 140, 140, 1)


def test_bad_input_is_one_line() -> None:
    replays = Replays(network())
    with pytest.raises(DataError, match="no images"):
        feature_visualization(replays, images().part(slice(0, 0)), PLAIN, layer="1")
    with pytest.raises(GeometryError, match="0 steps"):
        feature_visualization(replays, images(), PLAIN, layer="1", steps=0)
    with pytest.raises(GeometryError, match="9 is none"):
        feature_visualization(replays, images(), PLAIN, layer="1", channels=(9,))
    with pytest.raises(CaptureError):
        feature_visualization(replays, images(), PLAIN, layer="nine")
