"""All channels at one position: their own numbers, and exactly the region that they read."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import CaptureError, GeometryError
from convscope.interpret.features.cell_boxes import CellBoxes
from convscope.interpret.features.channels_at import channels_at
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.subject import Subject


def test_the_values_are_those_of_the_maps_and_the_box_holds_every_pixel_with_a_gradient(image):
    maps = feature_maps(image, "relu#2").maps
    found = channels_at(image, "relu#2", (7, 0))
    assert np.array_equal(found.values, maps[:, 7, 0])
    pixels = torch.randn_like(image.tensor, requires_grad=True)
    value = image.network
    first = value.norm(value.first(pixels))
    second = value.second(first) + first
    (gradient,) = torch.autograd.grad(second[0, :, 7, 0].sum(), pixels)
    rows, columns = (np.flatnonzero(gradient[0].abs().sum(0).sum(axis).numpy()) for axis in (1, 0))
    (top, bottom), (left, right) = found.box.spans
    assert (max(0, top), min(15, bottom)) == (rows[0], rows[-1])
    assert (max(0, left), min(11, right)) == (columns[0], columns[-1])
    assert found.box.exact and left < 0


def test_unless_given_the_position_is_the_one_with_the_most_energy(image):
    maps = feature_maps(image, "narrow").maps
    found = channels_at(image, "narrow")
    run, sizes = image.replay, image.pixels.shape[:2]
    boxes = CellBoxes(run.names)
    within = [
        place for place in np.ndindex(*maps.shape[1:])
        if all(first >= 0 and last < size
               for (first, last), size in zip(boxes.box(run.find("narrow"), place).spans, sizes, strict=True))
    ]  # fmt: skip
    assert found.position == max(within, key=lambda place: np.square(maps[(slice(None), *place)]).sum())


def test_ranks_are_shares_of_positions_that_are_smaller(image):
    maps = feature_maps(image, "narrow").maps
    found = channels_at(image, "narrow", (2, 3))
    assert np.allclose(found.ranks, [(one < one[2, 3]).mean() for one in maps])


def test_a_vector_has_no_position_and_reads_the_whole_image(image):
    found = channels_at(image, "head")
    assert found.position == () and found.values.shape == (4,)
    assert found.figure().document() and str(found)
    with pytest.raises(GeometryError, match="leave the position out"):
        channels_at(image, "head", (0, 0))


@pytest.mark.parametrize(
    ("at", "message"), [((8, 0), "the last cell is 7,5"), ((1,), "2 numbers"), ((-1, 0), "outside")]
)
def test_positions_outside_of_the_map_are_one_line(image, at, message):
    with pytest.raises(GeometryError, match=message):
        channels_at(image, "relu", at)


def test_a_layer_that_is_not_there_names_the_nearest(image):
    with pytest.raises(CaptureError, match="Did you mean"):
        channels_at(image, "narow")


def test_sound_has_no_picture_but_all_numbers():
    sound = Subject(network=nn.Conv1d(1, 4, 5, padding=2), name="s", image_name="x", tensor=torch.randn(1, 1, 30))
    found = channels_at(sound, "", (0,))
    assert found.box.spans == ((-2, 2),) and found.figure().document()
    assert found.to_dict()["box"] == [[-2, 2]]


def test_numbers_that_are_not_finite_are_said(image):
    with torch.no_grad():
        image.network.narrow.bias[3] = float("inf")
    found = channels_at(image, "narrow", (0, 0))
    assert "1 channel of 10 not finite" in str(found) and found.figure().document()
