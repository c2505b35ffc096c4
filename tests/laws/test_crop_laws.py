"""The box that is cut out of an image, and the size that it is letterboxed to: integers, inside, the aspect kept.

The functions see one axis limit at a time, so all shapes are covered by two lists: every (limiting side, target's
width, target's height), each with the shortest other side that it occurs with; and every (cropped side, side).
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hostile_images as made
from convscope.data.pixels import jpeg
from convscope.data.pixels.decode import decode_bytes
from convscope.data.pixels.reduced import reduction
from convscope.data.pixels.resize import centred_box, crop_box, letterbox_size, matching_side
from convscope.data.records import Decoding, ResizeMode

LARGEST_SIDE, LARGEST_TARGET = 4000, 600
SIDES, TARGETS = st.integers(1, LARGEST_SIDE), st.integers(1, LARGEST_TARGET)


@given(width=SIDES, height=SIDES, target_width=TARGETS, target_height=TARGETS)
def test_the_box_lies_inside_and_keeps_the_aspect(
    width: int, height: int, target_width: int, target_height: int
) -> None:
    box = crop_box((width, height), (target_width, target_height))
    assert all(type(side) is int for side in box)
    assert 0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height
    across, down = box.right - box.left, box.bottom - box.top
    # One axis is whole, the other within half a pixel of the target's aspect; both cross-multiplied, so exact.
    if across == width and width * target_height <= height * target_width:
        assert abs(2 * (down * target_width - width * target_height)) <= target_width or down == 1
    else:
        assert down == height
        assert abs(2 * (across * target_height - height * target_width)) <= target_height or across == 1
    # The middle is the image's middle, to half a pixel.
    assert 0 <= width - box.right - box.left <= 1 and 0 <= height - box.bottom - box.top <= 1


@given(width=SIDES, height=SIDES, target_width=TARGETS, target_height=TARGETS)
def test_the_letterboxed_size_fits_and_keeps_the_aspect(
    width: int, height: int, target_width: int, target_height: int
) -> None:
    across, down = letterbox_size((width, height), (target_width, target_height))
    assert 1 <= across <= target_width and 1 <= down <= target_height
    if target_width * height <= target_height * width:
        assert across == target_width and (abs(2 * (down * width - target_width * height)) <= width or down == 1)
    else:
        assert down == target_height and (abs(2 * (across * height - target_height * width)) <= height or across == 1)


def check_limiting_sides(sides: np.ndarray, targets: np.ndarray, acrosses: np.ndarray) -> None:
    """Check `matching_side` for every triple: as near as it can be, and within the shortest other side there is."""
    along, across = np.meshgrid(targets, acrosses, indexing="ij")
    for side in sides.tolist():
        matched = matching_side(side, along, across)
        # The other side is at least side * across / along where this one limits.
        shortest_other = -(-side * across // along)
        assert (matched >= 1).all() and (matched <= shortest_other).all()
        error = np.abs(2 * (matched * along - side * across))
        assert ((error <= along) | (matched == 1)).all()


def check_centred(largest: int, step: int) -> None:
    """Check `centred_box` on one axis for every (inner side, outer side) of inner <= outer."""
    sides = np.arange(1, largest + 1, step)
    for outer in sides.tolist():
        inner = np.arange(1, outer + 1, step)
        left, _, right, _ = centred_box((inner, inner), (outer, outer))
        assert (left >= 0).all() and (right <= outer).all() and (right - left == inner).all()


def test_every_seventh_shape() -> None:
    check_limiting_sides(np.arange(1, LARGEST_SIDE + 1, 97), np.arange(1, 601, 7), np.arange(1, 601, 5))
    check_centred(LARGEST_SIDE, 41)


@pytest.mark.long
def test_every_shape_to_every_target() -> None:
    """Every shape of sides 1 to 4,000 to every target of sides 1 to 600: 5.8e12 pairs, by their 1.4e9 triples."""
    every = np.arange(1, LARGEST_TARGET + 1)
    check_limiting_sides(np.arange(1, LARGEST_SIDE + 1), every, every)
    check_centred(LARGEST_SIDE, 1)


@pytest.mark.long
@pytest.mark.parametrize("target", [180, 224, 299, 384])
def test_every_shape_to_common_targets_through_the_function_itself(target: int) -> None:
    """The branch of `crop_box` that chooses the limiting axis, on every 9th shape (200,000 boxes a target)."""
    for width in range(1, LARGEST_SIDE + 1, 9):
        for height in range(1, LARGEST_SIDE + 1, 9):
            left, top, right, bottom = crop_box((width, height), (target, target))
            short = min(width, height)
            assert (right - left, bottom - top) == (short, short)
            assert left >= 0 and right <= width and top >= 0 and bottom <= height


def shapes_that_failed() -> list[tuple[int, int]]:
    """Sizes (width, height) whose box was once outside the image by a rounding error, and their neighbours."""
    draw = np.random.default_rng(12)
    return [(225, 225), (226, 225), (300, 300), *((int(w), int(h)) for w, h in draw.integers(1, 700, (25, 2)))]


def decoded_both_ways(data: bytes, decoding: Decoding, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The pixels by simplejpeg and by Pillow alone."""
    with monkeypatch.context() as patch:
        first = decode_bytes(data, decoding)[0]
        patch.setattr(jpeg, "_fast_jpeg", lambda: None)
        return [first, decode_bytes(data, decoding)[0]]


def check_decodes(
    shapes: list[tuple[int, int]], targets: list[int], mode: ResizeMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made.picture(700, 700)
    for shape in shapes:
        image = whole.crop((0, 0, *shape))
        data = made.encode(image, "JPEG", quality=90)
        for target in targets:
            both = decoded_both_ways(data, Decoding(size=(target, target), resize_mode=mode), monkeypatch)
            assert np.array_equal(*both)
            if mode == "crop":
                factor = reduction(shape, (target, target), mode)
                pixels = Image.open(io.BytesIO(data))
                pixels.draft(None, (shape[0] // factor, shape[1] // factor))
                left, top, right, bottom = (edge / factor for edge in crop_box(shape, (target, target)))
                box = left, top, right, bottom
                expected = pixels.convert("RGB").resize((target, target), Image.Resampling.BILINEAR, box=box)
                assert np.array_equal(both[0], np.asarray(expected))


@pytest.mark.parametrize("mode", ["crop", "letterbox", "squash"])
def test_both_decoders_give_the_same_pixels(mode: ResizeMode, monkeypatch: pytest.MonkeyPatch) -> None:
    check_decodes(shapes_that_failed()[:8], [64, 224], mode, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["crop", "letterbox", "squash"])
def test_five_hundred_decodes(mode: ResizeMode, monkeypatch: pytest.MonkeyPatch) -> None:
    check_decodes(shapes_that_failed(), [33, 64, 180, 224, 299, 384], mode, monkeypatch)
