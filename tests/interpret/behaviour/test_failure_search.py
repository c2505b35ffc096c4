"""The failure search finds the weakness that was planted, at the strength that arithmetic gives."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError, GeometryError
from convscope.interpret.behaviour.distortions import Distortion, blur, brightness, crop, distortions, rotation, shift
from convscope.interpret.behaviour.failure_search import failure_search
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.0,), (1.0,))


class Brighter(nn.Module):
    """Class 1 where the mean level is above a threshold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((1, 2, 3))
        return torch.stack([mean * 0 + 0.5, mean], dim=1)


class Lit(nn.Module):
    """Class 1 where one pixel is above a threshold."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        self.row, self.column = row, column

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = x[:, 0, self.row, self.column]
        return torch.stack([level * 0 + 0.5, level], dim=1)


def flat(levels: list[int], side: int = 16) -> ImageSet:
    pixels = np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), side, side, 1)).copy()
    return ImageSet(pixels, np.array([int(level > 127) for level in levels]), [f"grey {level}" for level in levels])


def test_a_planted_weakness_against_brightness_is_found_at_its_strength() -> None:
    levels = [90, 110, 120, 140, 180, 250, 10]
    found = failure_search(Replays(Brighter(), name="net"), flat(levels), PLAIN, batch_size=4)
    by_name = {each.distortion.name: each for each in found.failures}
    assert found.weakest is by_name["brightness"] and "weakest against brightness" in found.headline()
    for name in ("shift", "rotation", "blur", "crop"):
        assert not by_name[name].failed.any() and by_name[name].robustness == 1 and by_name[name].median is None
    needed = np.abs(127.5 / np.array(levels) - 1)
    found_at = by_name["brightness"].strengths
    step = 0.05 / 2**4
    reachable = needed < 0.8
    assert np.isnan(found_at[~reachable]).all()
    assert ((found_at - needed)[reachable] >= 0).all() and ((found_at - needed)[reachable] <= step + 1e-9).all()
    assert by_name["brightness"].directions.tolist() == [0, 0, 0, 1, 1, 1, -1]
    assert by_name["brightness"].becomes.tolist() == [1, 1, 1, 0, 0, 0, -1]
    assert found.right.all() and by_name["brightness"].failed.sum() == 6


def test_a_planted_weakness_against_shifts_is_found_at_its_pixel() -> None:
    pixels = np.zeros((3, 16, 16, 1), np.uint8)
    for image, distance in enumerate((1, 3, 4)):
        pixels[image, :, : 8 - distance] = 255  # light up to that distance from the pixel that is read
    data = ImageSet(pixels, np.zeros(3, np.int64), ["a", "b", "c"])
    found = failure_search(Replays(Lit(8, 7)), data, PLAIN).failures[0]
    # Column 7 is dark in all; light comes in from the left by moving right.
    assert found.strengths.tolist() == [1, 3, 4] and found.directions.tolist() == [1, 1, 1]
    assert [example.name for example in found.examples] == ["a", "b", "c"]
    assert found.examples[0].before.shape == (16, 16, 1) and found.examples[0].after[8, 7, 0] == 255


@pytest.mark.parametrize("column", range(1, 13))
def test_the_smallest_shift_of_a_large_image_is_found_between_the_strengths_of_the_grid(column: int) -> None:
    pixels = np.zeros((1, 192, 192, 1), np.uint8)
    pixels[:, :, :96] = 255
    images = ImageSet(pixels, np.zeros(1, np.int64), ["half"])
    (tried, *_) = distortions(192, 192)
    assert tried.grid[:3] == (3, 6, 9)
    found = failure_search(Replays(Lit(100, 95 + column), name="net"), images, PLAIN, tried=(tried,))
    assert found.failures[0].strengths.tolist() == [column] and found.failures[0].distortion.directions[1] == "right"


def test_every_strength_changes_the_prediction_and_just_below_it_does_not() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 144, 4)).eval()
    draw = np.random.default_rng(1)
    pixels = draw.integers(0, 256, (12, 16, 16, 3), np.uint8)
    normalization = Normalization((0.4, 0.5, 0.5), (0.3, 0.3, 0.3))
    found = failure_search(Replays(network), ImageSet(pixels, np.zeros(12, np.int64), [""] * 12), normalization)
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(each)[None, :, None, None] for each in (normalization.mean, normalization.std))

    def classes(given: torch.Tensor) -> np.ndarray:
        return network((given - mean) / std).argmax(1).numpy()

    own = classes(levels)
    assert (own == found.predicted).all()
    for failures in found.failures:
        at = np.flatnonzero(failures.failed)
        if not len(at):
            continue
        strengths = torch.from_numpy(failures.strengths[at]).float()
        ways = torch.from_numpy(failures.directions[at])
        after = classes(failures.distortion.apply(levels[at], strengths, ways))
        assert (after == failures.becomes[at]).all() and (after != own[at]).all()


def test_distortions_of_strength_nothing_and_of_known_ones() -> None:
    images = torch.rand(2, 3, 9, 12)
    none, way = torch.zeros(2), torch.tensor([0, 1])
    for distort in (shift, rotation, blur, brightness, crop):
        torch.testing.assert_close(distort(images, none, way), images, rtol=0, atol=1e-5)
    square = torch.rand(1, 1, 8, 8)
    turned = rotation(square, torch.tensor([90.0]), torch.tensor([0]))
    torch.testing.assert_close(turned, torch.rot90(square, 1, (2, 3)), rtol=0, atol=1e-4)
    moved = shift(images, torch.tensor([2.0, 1.0]), torch.tensor([2, 1]))
    torch.testing.assert_close(moved[0, :, :-2], images[0, :, 2:])
    torch.testing.assert_close(moved[1, :, :, 1:], images[1, :, :, :-1])
    flat_image = torch.full((2, 1, 9, 9), 0.3)
    torch.testing.assert_close(blur(flat_image, torch.tensor([0.5, 3.0]), way), flat_image)
    dot = torch.zeros(1, 1, 41, 41)
    dot[..., 20, 20] = 1
    row = blur(dot, torch.tensor([2.0]), way[:1])[0, 0].sum(0)
    offsets = torch.arange(41.0) - 20
    assert float((row * offsets**2).sum()) == pytest.approx(4, rel=0.05)
    half = crop(torch.arange(8.0).expand(1, 1, 8, 8), torch.tensor([50.0]), way[:1])
    torch.testing.assert_close(half[0, 0, 0], torch.linspace(1.75, 5.25, 8))


def test_the_profile_is_shown_in_all_forms_and_may_be_interrupted() -> None:
    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    found = failure_search(Replays(Brighter(), name="net"), flat([90, 140, 120]), PLAIN, batch_size=2, progress=stop,
                           classes=("dark", "light"))  # fmt: skip
    assert found.images == 2 and found.planned == 3 and "interrupted" in str(found)
    assert "dark" in found.to_html() and "<svg" in found.svg
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["weakest"] == "brightness" and values["distortions"][0]["strengths"] == ["nan", "nan"]
    assert set(found.arrays()) >= {"predicted", "brightness/strengths"}
    low, high = found.failures[3].robustness_interval
    assert 0 <= low <= found.failures[3].robustness <= high <= 1


def test_bad_input_is_one_line() -> None:
    with pytest.raises(DataError, match="no images"):
        failure_search(Replays(Brighter()), flat([90]).part(slice(0, 0)), PLAIN)
    with pytest.raises(GeometryError, match="ascending"):
        Distortion(name="blur", unit="px", grid=(2, 1), directions=("",), apply=blur)
    assert distortions(1, 1)[0].grid == (1,)
