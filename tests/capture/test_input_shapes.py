"""Shapes that the user typed: a batch is told from a sample by the network."""

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convscope.capture.input_shapes import InputShapes, tell_batch

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.lists(st.integers(3, 9), min_size=3, max_size=3))
def test_a_batch_of_any_size_is_told_in_every_number_of_dimensions(axes, channels, batch, sides):
    network = CONVOLUTIONS[axes - 1](channels, 2, 3)
    sample = (channels, *sides[:axes])
    for known in (None, sample):
        assert tell_batch(network, [sample], known) == InputShapes((sample,))
        assert tell_batch(network, [(batch, *sample)], known) == InputShapes((sample,), batch)


class Frames(nn.Module):
    """Takes clips (N, T, C, H, W), and folds the frames into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)


class Both(nn.Module):
    """Takes an image and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(10, 4)

    def forward(self, image: Tensor, vector: Tensor) -> Tensor:
        return self.conv(image).mean((2, 3)) + self.fc(vector)


def test_where_the_layers_do_not_say_the_network_decides():
    assert tell_batch(Frames(), [(8, 3, 9, 9)]) == InputShapes(((8, 3, 9, 9),))
    assert tell_batch(Frames(), [(2, 8, 3, 9, 9)]) == InputShapes(((8, 3, 9, 9),), 2)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    assert tell_batch(flat, [(3, 8, 8)]) == InputShapes(((3, 8, 8),))
    assert tell_batch(flat, [(5, 3, 8, 8)]) == InputShapes(((3, 8, 8),), 5)


def test_several_inputs_share_their_batch():
    assert tell_batch(Both(), [(3, 9, 9), (10,)]) == InputShapes(((3, 9, 9), (10,)))
    assert tell_batch(Both(), [(5, 3, 9, 9), (5, 10)]) == InputShapes(((3, 9, 9), (10,)), 5)


def test_what_fits_neither_way_stays_as_it_was_given():
    assert tell_batch(nn.Conv2d(3, 4, 3), [(4, 2, 3, 9, 9)]) == InputShapes(((4, 2, 3, 9, 9),))
