"""No file becomes wrong pixels in silence: it is decoded right, or skipped with a reason that names what it is."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hostile_images as made
from clocks import in_loops
from convscope.data.pixels import decode, jpeg
from convscope.data.pixels.decode import decode_image
from convscope.data.pixels.flatten import NARROW
from convscope.data.records import Decoding, ResizeMode
from convscope.errors import DataError

NATIVE = Decoding(size=(made.HEIGHT, made.WIDTH))


@pytest.fixture(params=["simplejpeg", "Pillow alone"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two ways to decode a JPEG; both must answer the same."""
    if request.param == "Pillow alone":
        monkeypatch.setattr(jpeg, "_fast_jpeg", lambda: None)
    return str(request.param)


@pytest.mark.parametrize("name", made.KEPT_OUT)
def test_a_bad_file_is_kept_out_with_its_reason(name: str, tmp_path: Path, decoder: str) -> None:
    make, reason = made.KEPT_OUT[name]
    path = tmp_path / "picture.jpg"
    path.write_bytes(make())

    def refusal() -> str:
        with pytest.raises(DataError, match=reason) as caught:
            decode_image(path, NATIVE)
        return str(caught.value)

    message, loops = in_loops(refusal)
    assert loops < 100
    assert message.startswith(f"{path}: ") and "\n" not in message and "BytesIO" not in message


def test_a_jpeg_that_ends_too_early_with_an_end_marker_is_kept_out(tmp_path: Path) -> None:
    # Only libjpeg's warnings tell it; Pillow doesn't pass them on, so this needs simplejpeg (docs/data.md says so).
    path = tmp_path / "picture.jpg"
    path.write_bytes(made.J[: made.HALF] + b"\xff\xd9")
    with pytest.raises(DataError, match="damaged"):
        decode_image(path, NATIVE)


@pytest.mark.parametrize("name", made.DECODED)
def test_a_good_file_gives_pillows_pixels(name: str, tmp_path: Path, decoder: str) -> None:
    path = tmp_path / "picture.dat"
    path.write_bytes(made.DECODED[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on the broken metadata
        expected = np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(decode_image(path, NATIVE), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured(kind: str, orientation: int, tmp_path: Path) -> None:
    # The scene: red at top left, green at top right, blue at bottom left, white at bottom right.
    scene = np.zeros((64, 96, 3), np.uint8)
    scene[:32, :48, 0] = scene[:32, 48:, 1] = scene[32:, :48, 2] = 255
    scene[32:, 48:] = 255
    turned = {  # what the camera stored, by the definition of each orientation
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: np.rot90(scene, 1),
        7: scene[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(scene, -1),
    }[orientation]
    metadata = Image.Exif()
    metadata[0x0112] = orientation
    path = tmp_path / "turned"
    Image.fromarray(np.ascontiguousarray(turned)).save(path, kind, exif=metadata)
    seen = decode_image(path, Decoding(size=(64, 96))).astype(int)
    for row, column in ((5, 5), (5, 90), (58, 5), (58, 90)):
        assert abs(seen[row, column] - scene[row, column]).max() < 40


def saved(tmp_path: Path, image: Image.Image, kind: str = "PNG", **settings: object) -> Path:
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(made.encode(image, kind, **settings))
    return path


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_divided_by_257(kind: str, tmp_path: Path) -> None:
    values = np.array([[0, 256, 257, 32768, 65535, 4095]], np.uint16)
    seen = decode_image(saved(tmp_path, Image.fromarray(values), kind), Decoding(size=(1, 6), channels=1))
    assert seen[0, :, 0].tolist() == [0, 1, 1, 128, 255, 16]


def test_12_bit_data_in_16_bits_is_remarked_on(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.arange(4032, 4096, dtype=np.uint16).reshape(8, 8)))
    remark = decode.decode_file(str(path), Decoding(size=(8, 8))).remark
    assert remark == NARROW


def test_transparency_lies_on_the_background(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]  # opaque; hidden colour; half
    path = saved(tmp_path, Image.fromarray(rgba))
    on_white = decode_image(path, Decoding(size=(1, 3)))[0].tolist()
    assert on_white == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]
    on_blue = decode_image(path, Decoding(size=(1, 3), background=(0, 0, 255)))[0].tolist()
    assert on_blue[1] == [0, 0, 255]
    assert decode_image(path, Decoding(size=(1, 3), channels=1))[0, 1, 0] == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "P transparent", "RGB transparent", "RGBA", "L transparent"])
def test_every_mode_becomes_grey_and_colour(mode: str, tmp_path: Path) -> None:
    kind, _, transparent = mode.partition(" ")
    grey = Image.new("RGB", (8, 8), (200, 200, 200))
    image = grey.quantize(4) if kind == "P" else grey.convert(kind)
    key = {"P": 0, "RGB": (200, 200, 200), "L": 200}.get(kind)
    settings = {"transparency": key} if transparent else {}
    if transparent and kind == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([200, 200, 200] * 256)
    path = saved(tmp_path, image, "PNG", **settings)
    level = 255 if transparent else 200
    for channels in (1, 3):
        seen = decode_image(path, Decoding(size=(8, 8), channels=channels))
        if kind == "1":
            assert set(np.unique(seen)) <= {0, 255}
        else:
            assert abs(seen.astype(int) - level).max() <= 1


def test_cmyk_jpegs_have_the_right_colours(tmp_path: Path) -> None:
    # Pillow writes CMYK inverted and with Adobe's mark, as Photoshop does.
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red = decode_image(saved(tmp_path, cmyk, "JPEG", quality=95), Decoding(size=(16, 16)))
    assert abs(red.astype(int) - [255, 0, 0]).max() < 12


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        path = saved(tmp_path, frames[0], kind, save_all=True, append_images=frames[1:])
        seen, remark, _ = decode.decode_file(str(path), Decoding(size=(8, 8)))
        assert remark == decode.FIRST_FRAME
        assert seen[4, 4, 0] > 200 and seen[4, 4, 2] < 60


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (65500, 1), (3, 2)])
@pytest.mark.parametrize("mode", ["crop", "letterbox", "squash"])
def test_odd_shapes_fit(size: tuple[int, int], mode: ResizeMode, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", size, (10, 20, 30)))
    seen = decode_image(path, Decoding(size=(28, 32), resize_mode=mode, background=(10, 20, 30)))
    assert seen.shape == (28, 32, 3)
    assert np.array_equal(np.unique(seen.reshape(-1, 3), axis=0), [[10, 20, 30]])


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "nothing.jpg").symlink_to(tmp_path / "gone")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    reasons = {"pipe": "a pipe", "folder": "a folder", "zero": "a device", "nothing": "no such", "self": "too many"}
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=reason):
            decode_image(tmp_path / f"{name}.jpg", NATIVE)


def test_odd_names_work(tmp_path: Path) -> None:
    for name in ("a b.jpg", "🐈.jpg", "x" * 245 + ".jpg", "new\nline.jpg"):
        (tmp_path / name).write_bytes(made.J)
        assert decode_image(tmp_path / name, NATIVE).shape == NATIVE.image_shape
    (tmp_path / "bad\nname.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=re.escape("bad\nname.jpg: empty")):
        decode_image(tmp_path / "bad\nname.jpg", NATIVE)


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    bombs = [name for name, (_, reason) in made.KEPT_OUT.items() if reason == "megapixels"]
    assert len(bombs) >= 5
    for number, name in enumerate(bombs):
        (tmp_path / str(number)).write_bytes(made.KEPT_OUT[name][0]())
    # In a process of its own: the most that this one has ever taken may hide what a bomb takes.
    done = subprocess.run(
        [sys.executable, "-c", PEAK_OF_REFUSALS, *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    refused, kibibytes = map(int, done.stdout.split())
    assert refused == len(bombs) and kibibytes < 50 * 1024


PEAK_OF_REFUSALS = """
import resource, sys
from pathlib import Path
from convscope.data.pixels.decode import decode_image
from convscope.data.records import Decoding
from convscope.errors import DataError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def is_refused(path):
    try:
        decode_image(Path(path), Decoding(size=(32, 32)))
    except DataError:
        return True

is_refused(sys.argv[1])  # what decoding imports
before = peak()
print(sum(map(is_refused, sys.argv[1:])), peak() - before)
"""


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "grey"])
@pytest.mark.parametrize("shape", [(32, 32), (37, 51), (16, 17), (1, 9)])
def test_jpeg_pixels_equal_pillows(channels: int, subsampling: str, shape: tuple[int, int]) -> None:
    image = made.picture(*shape)
    ways: tuple[dict[str, object], ...] = (
        {},
        {"progressive": True},
        {"restart_marker_blocks": 2},
        {"quality": 30},
        {"optimize": True},
    )
    for settings in ways:
        if subsampling == "grey":
            data = made.encode(image.convert("L"), "JPEG", **settings)
        else:
            data = made.encode(image, "JPEG", subsampling=subsampling, **settings)
        whole = Image.open(io.BytesIO(data))
        expected = np.asarray(whole.convert("L" if channels == 1 else "RGB")).reshape(*shape, channels)
        seen, remark = decode.decode_bytes(data, Decoding(size=shape, channels=channels))
        assert remark is None and np.array_equal(seen, expected)


def test_the_three_ways_to_resize(tmp_path: Path) -> None:
    # A wide picture, black | grey | white in thirds.
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 30:60], wide[:, 60:] = 128, 255
    path = saved(tmp_path, Image.fromarray(wide))
    crop = decode_image(path, Decoding(size=(30, 30), resize_mode="crop"))
    assert np.array_equal(crop, wide[:, 30:60])
    squash = decode_image(path, Decoding(size=(30, 30), resize_mode="squash"))
    assert np.array_equal(squash, np.asarray(Image.fromarray(wide).resize((30, 30), Image.Resampling.BILINEAR)))
    letterbox = decode_image(path, Decoding(size=(30, 30), resize_mode="letterbox", background=(9, 8, 7)))
    assert (letterbox[:10] == (9, 8, 7)).all() and (letterbox[20:] == (9, 8, 7)).all()
    assert letterbox[15, 1].tolist() == [0, 0, 0] and letterbox[15, 28].tolist() == [255, 255, 255]
