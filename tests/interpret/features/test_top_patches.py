"""Top patches: in one pass what a search over all stored maps finds, with exact boxes and bounded memory."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.features.cell_boxes import cropped
from convscope.interpret.features.patch_search import _largest_first, search_maxima
from convscope.interpret.features.top_patches import top_patches
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization.default(3)


def images_of(count: int, seed: int = 0) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 16, 12, 3), dtype=np.uint8)
    return ImageSet(pixels, np.arange(count) % 2, [f"{row}.png" for row in range(count)])


def test_one_pass_finds_what_all_maps_together_have(network):
    images = images_of(50)
    found = top_patches(Replays(network), images, PLAIN, batch_size=16, kept=4)
    assert found.layers == ("relu", "second", "relu#2", "narrow", "head") and found.searched == 50
    with torch.inference_mode():
        first = network.norm(network.first(to_floats(images.images, PLAIN))).relu()
        maps = network.narrow((network.second(first) + first).relu()).numpy()
    one = found.maxima[3]
    for channel in range(10):
        best = maps[:, channel].reshape(50, -1).max(1)
        order = np.argsort(-best, kind="stable")[:4]
        assert list(one.rows[channel]) == list(order)
        assert np.allclose(one.values[channel], best[order], atol=1e-5)
        for row, place in zip(one.rows[channel], one.places[channel], strict=True):
            assert maps[row, channel][tuple(place)] == pytest.approx(best[row], abs=1e-5)


def test_batches_of_any_size_find_the_same(network):
    images = images_of(37)
    one, other = (top_patches(Replays(network), images, PLAIN, batch_size=size) for size in (37, 5))
    for a, b in zip(one.maxima, other.maxima, strict=True):
        assert np.array_equal(a.rows, b.rows) and np.array_equal(a.places, b.places)
        assert np.allclose(a.values, b.values, atol=1e-5)


def test_ties_go_to_the_first_image_and_the_first_position():
    images = ImageSet(np.full((30, 6, 6, 3), 128, np.uint8), np.zeros(30, np.int64), list(map(str, range(30))))
    found = top_patches(Replays(nn.Conv2d(3, 2, 3)), images, PLAIN, batch_size=7).maxima[0]
    assert found.rows.tolist() == [list(range(9))] * 2 and (found.places == 0).all()


def test_fewer_images_than_are_kept_leave_gaps(network):
    found = top_patches(Replays(network), images_of(3), PLAIN)
    assert (found.maxima[0].rows[:, 3:] == -1).all() and np.isnan(found.maxima[0].values[:, 3:]).all()
    assert found.of_layer("relu").figure().document()


def test_maps_without_a_finite_number_are_left_out_and_others_keep_theirs():
    network = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        network.bias[1] = float("nan")
    found = top_patches(Replays(network), images_of(6), PLAIN)
    assert (found.maxima[0].rows[0, :6] >= 0).all() and (found.maxima[0].rows[1] == -1).all()
    assert "6 maps without a finite number" in str(found)


def test_crops_are_the_exact_boxes_with_pads_shown(network):
    images = images_of(20)
    found = top_patches(Replays(network), images, PLAIN).of_layer("relu")
    for channel in range(6):
        for row, place, _, box in found._patches(channel):
            assert box.spans == tuple((2 * at - 1, 2 * at + 1) for at in place)
            crop = cropped(images.images[row], box)
            assert crop.shape == (3, 3, 3)
            inside = images.images[row][2 * place[0] : 2 * place[0] + 2, 2 * place[1] : 2 * place[1] + 2]
            assert np.array_equal(crop[1:, 1:], inside)
            assert found._crop(row, box).shape == (84, 84, 3)
    assert found.to_dict()["channels"][0]["patches"][0]["image"].endswith(".png")
    assert found.figure().document().count("<image") == 6 * 9


def test_an_image_is_no_smaller_in_a_crop_than_two_thirds_of_it():
    deep = nn.Sequential(*(nn.Conv2d(3, 3, 9, padding=4) for _ in range(6)))
    patches = top_patches(Replays(deep), images_of(2), PLAIN, layers=["5"]).of_layer("5")
    (row, _, _, box), *_ = patches._patches(0)
    assert box.size_text == "49×49" and patches._crop(row, box).shape == (4 * (4 + 16 + 4), 4 * (3 + 12 + 3), 3)
    assert patches.to_dict()["channels"][0]["patches"][0]["box"] == [list(span) for span in box.spans]


def test_in_place_networks_stay_as_they_are_and_their_values_too(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inputs = to_floats(images_of(4).images, PLAIN)
    kept = inputs.clone()
    replays = Replays(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.ReLU(inplace=True)))
    names = ("0", "1", "2")
    streamed = {name: tensor.clone() for name, tensor in replays.values_as_they_come(inputs, wanted=names)}
    assert torch.equal(inputs, kept)
    for name in names:
        assert torch.equal(streamed[name], replays.on(inputs).value(name))
    top_patches(Replays(network), images_of(9), PLAIN)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_an_interrupt_keeps_what_is_there(network):
    def stop(done: int, total: int, what: str) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    found = top_patches(Replays(network), images_of(50), PLAIN, batch_size=10, progress=stop)
    assert found.searched == 20 and "interrupted: 20 of 50 images" in str(found)
    assert found.maxima[0].rows.max() < 20


def test_bad_input_is_one_line(network):
    replays, images = Replays(network), images_of(4)
    with pytest.raises(CaptureError, match="Did you mean"):
        top_patches(replays, images, PLAIN, layers=["narow"])
    with pytest.raises(DataError, match="no images"):
        top_patches(replays, images.part(slice(0, 0)), PLAIN)
    with pytest.raises(GeometryError, match="at least 1"):
        top_patches(replays, images, PLAIN, kept=0)
    found = top_patches(replays, images, PLAIN, layers=["narrow"])
    with pytest.raises(CaptureError, match="no patches of 'relu'"):
        found.of_layer("relu")
    with pytest.raises(GeometryError, match="page 3"):
        found.of_layer("narrow", page=3)


def test_bf16_is_searched_as_float32():
    network = nn.Conv2d(1, 2, 3).bfloat16()
    batches = [(torch.randn(5, 1, 6, 6).bfloat16(), torch.arange(5))]
    (found,), searched = search_maxima(Replays(network), batches)
    assert searched == 5 and found.values.dtype == np.float64 and (found.rows[:, :5] >= 0).all()


def test_the_largest_are_found_as_a_stable_sort_finds_them():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(40, 70, generator=generator).mul(4).round().div(4)  # with many equal ones
    values[:, 3], values[:, 9], values[:, 12] = -torch.inf, -0.0, 0.0
    expected = torch.sort(values, dim=1, descending=True, stable=True).indices[:, :9]
    assert torch.equal(_largest_first(values, 9), expected)
    assert torch.equal(_largest_first(values.double(), 9), expected)
