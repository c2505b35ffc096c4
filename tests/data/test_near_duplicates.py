"""Copies of a picture are found by its look; other pictures are not, and neither are blank ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from convscope.data.near_duplicates import find_near_duplicates
from convscope.data.records import Pixels


def scenes(count: int, channels: int, *, seed: int = 0) -> Pixels:
    """Pictures (count, 40, 48, channels) with structure at every scale, as photographs have it."""
    draw = np.random.default_rng(seed)
    levels = np.full((count, 40, 48, channels), 128.0)
    for side, strength in ((2, 50), (4, 40), (8, 25), (20, 10)):
        small = draw.normal(0, strength, (count, side, side, channels))
        for picture, part in zip(levels, small, strict=True):
            for channel in range(channels):
                image = Image.fromarray(part[:, :, channel].astype(np.float32))
                picture[:, :, channel] += np.asarray(image.resize((48, 40), Image.Resampling.BICUBIC))
    return levels.clip(0, 255).astype(np.uint8)


def saved_again(picture: Pixels, *, quality: int, scale: float) -> Pixels:
    """The picture at another size, as a JPEG, and at its own size again."""
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    size = image.size
    file = io.BytesIO()
    image.resize((round(size[0] * scale), round(size[1] * scale))).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).resize(size)).reshape(picture.shape)


@pytest.mark.parametrize("channels", [1, 3])
def test_copies_are_found_and_nothing_else(channels: int) -> None:
    images = scenes(200, channels)
    copies = [saved_again(picture, quality=60, scale=0.75) for picture in images[:40]]
    mirrored = [saved_again(np.ascontiguousarray(p[:, ::-1]), quality=85, scale=1.5) for p in images[40:80]]
    together = np.concatenate([images, np.stack(copies + mirrored)])
    pairs = find_near_duplicates(together, np.arange(len(together)))
    found = {(pair.first, pair.second, pair.mirrored) for pair in pairs}
    assert len(found) == len(pairs)
    wanted = {(row, 200 + row, row >= 40) for row in range(80)}
    assert found <= wanted and len(found) >= 78
    assert [pair.difference for pair in pairs] == sorted(pair.difference for pair in pairs)


def test_only_the_rows_that_are_asked_for_are_compared() -> None:
    images = scenes(3, 1)
    together = np.concatenate([images, images])
    assert [pair[:2] for pair in find_near_duplicates(together, np.array([0, 1, 4]))] == [(1, 4)]
    assert find_near_duplicates(together, np.array([5])) == []


def test_blank_pictures_are_not_compared() -> None:
    blank = np.full((50, 16, 16, 3), 200, np.uint8)
    blank[:, 0, 0] = 185 + np.arange(50)[:, None] // 2
    assert find_near_duplicates(blank, np.arange(50)) == []
    assert find_near_duplicates(np.zeros((4, 1, 1, 1), np.uint8), np.arange(4)) == []


def test_pictures_that_may_be_alike_and_are_not_make_no_pair() -> None:
    # Ramps of different colours: their hashes agree, and nothing else.
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    ramps = (np.linspace(0, 1, 32)[:, None] * colours[:, None, None] + np.zeros((3, 32, 32, 3))).astype(np.uint8)
    assert find_near_duplicates(ramps, np.arange(3)) == []


def test_the_work_is_bounded_where_many_pictures_look_alike() -> None:
    # Each is compared with its neighbours, not with all others.
    one = scenes(1, 1)
    many = np.repeat(one, 1000, axis=0)
    pairs = find_near_duplicates(many, np.arange(1000))
    assert 999 <= len(pairs) <= 1000 * 64
