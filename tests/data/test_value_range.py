"""The setting value_range: one rule for files, arrays and tensors, kept in the run, used by every reader."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import convscope
from commands import run_command
from convscope.data.image_item import image_item
from convscope.data.open import open_dataset, probe_given
from convscope.data.pixels.decode import decode_bytes
from convscope.data.pixels.flatten import EIGHT_BITS, NARROW
from convscope.data.records import Decoding
from convscope.data.value_range import ValueRange, to_levels
from convscope.errors import DataError, RunError
from convscope.files.regular import UnreadableError

DRAW = np.random.default_rng(3)
VALUES = DRAW.integers(6500, 9500, (12, 9), dtype=np.uint16)
RANGES = ("7000:9000", "minmax", "percentile")


def encoded(values: np.ndarray[Any, Any], kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind)
    return stream.getvalue()


def pgm(values: np.ndarray[Any, Any], white: int) -> bytes:
    height, width = values.shape
    return f"P5\n# a camera\n{width} {height}\n{white}\n".encode() + values.astype(">u2").tobytes()


FILES = {
    "16-bit PNG": encoded(VALUES, "PNG"),
    "16-bit TIFF": encoded(VALUES, "TIFF"),
    "32-bit TIFF": encoded(VALUES.astype(np.int32), "TIFF"),
    "float TIFF": encoded(VALUES.astype(np.float32), "TIFF"),
    "PGM": pgm(VALUES, 65_535),
    "PGM of a camera": pgm(VALUES, 10_000),
}


@pytest.mark.parametrize("value_range", RANGES)
def test_the_same_numbers_become_the_same_levels_in_every_form(value_range: str) -> None:
    decoding = Decoding(size=VALUES.shape, channels=1, value_range=value_range)
    low, high = {
        "7000:9000": (7000, 9000),
        "minmax": (VALUES.min(), VALUES.max()),
        "percentile": np.sort(VALUES, None)[[int(0.005 * 107), -1 - int(0.005 * 107)]],
    }[value_range]
    exact = np.clip((VALUES.astype(float) - low) * 255 / (int(high) - int(low)), 0, 255)
    for name, data in FILES.items():
        seen, remark = decode_bytes(data, decoding)
        assert remark is None and np.abs(seen[:, :, 0] - exact).max() <= 0.5 + 1e-9, name
        assert np.array_equal(seen, image_item(data).decode(decoding))
    for array in (VALUES, VALUES.astype(np.int64), VALUES.astype(np.float32), torch.from_numpy(VALUES.astype(float))):
        assert np.array_equal(image_item(array).decode(decoding), seen)
    assert np.array_equal(image_item(Image.fromarray(VALUES)).decode(decoding), seen)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=50), st.sampled_from(["minmax", "percentile"]))
def test_levels_keep_the_order_and_use_both_ends(numbers: list[float], value_range: str) -> None:
    array = np.array(numbers)
    ends = ValueRange.parse(value_range).ends([array[:7], *([array[7:]] if len(array) > 7 else [])], len(array))
    levels = to_levels(np.sort(array), ends)
    assert (np.diff(levels.astype(int)) >= 0).all() and levels[0] == 0
    assert levels[-1] == (255 if array.max() > array.min() else 0)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_a_range_is_written_as_it_is_read(low: float, high: float) -> None:
    if low < high:
        read = ValueRange.parse(f"{low!r}:{high!r}")
        assert (read.low, read.high) == (low, high) and ValueRange.parse(str(read)) == read


def test_large_images_are_converted_in_bands() -> None:
    values = (np.arange(1200 * 1100, dtype=np.uint32) % 3001 + 500).astype(np.uint16).reshape(1200, 1100)
    for value_range in RANGES:
        decoding = Decoding(size=(1200, 1100), channels=1, value_range=value_range.replace("7000:9000", "600:3000"))
        assert np.array_equal(decode_bytes(encoded(values, "PNG"), decoding)[0], image_item(values).decode(decoding))


@pytest.mark.parametrize(
    ("value_range", "message"),
    [
        ("9000:7000", "value_range is 9000:7000: LOW must be below HIGH"),
        ("5:5", "LOW must be below HIGH"),
        ("nan:3", "LOW and HIGH must be finite numbers"),
        ("0:inf", "LOW and HIGH must be finite numbers"),
        ("7000", "it is LOW:HIGH, minmax or percentile, or auto; such as 7000:9000"),
        ("min-max", "Did you mean minmax?"),
        ("a:b", "it is LOW:HIGH"),
        ("", "it is LOW:HIGH"),
    ],
)
def test_what_is_no_range_is_named(value_range: str, message: str) -> None:
    with pytest.raises(RunError) as raised:
        convscope.Recipe(value_range=value_range)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def reason(data: Any, value_range: str) -> str:
    with pytest.raises(UnreadableError) as raised:
        image_item(data).decode(Decoding(size=(4, 4), value_range=value_range))
    return str(raised.value)


def test_images_that_a_range_does_not_fit() -> None:
    for data in (FILES["16-bit PNG"], FILES["float TIFF"], VALUES):
        assert reason(data, "0:100").startswith("none of its pixels lies in the value_range 0:100: they are 65")
    holed = VALUES.astype(np.float32)
    holed[2, 3] = np.nan
    for data in (encoded(holed, "TIFF"), holed):
        assert reason(data, "minmax") == "its numbers hold NaN or infinity"
    assert "set value_range to" in reason(FILES["float TIFF"], "auto")
    assert "or a value_range" in reason(VALUES, "auto")
    assert "does not apply to alpha" in reason(np.zeros((4, 4, 4), np.float32), "minmax")
    colour = io.BytesIO(b"P6 2 2 65535\n" + bytes(24))
    assert "16-bit colour is read with 8 bits" in reason(colour, "minmax")
    eight = encoded(VALUES.astype(np.uint8), "PNG")
    assert decode_bytes(eight, Decoding(size=(4, 4), value_range="minmax"))[1] == EIGHT_BITS


def test_little_contrast_is_noted(tmp_path: Path) -> None:
    for number, data in enumerate([FILES["16-bit PNG"], FILES["16-bit TIFF"], encoded(VALUES * 6, "PNG")] * 2):
        (tmp_path / f"{number % 2}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 2}" / f"{number}.png").write_bytes(data)
    decoding = Decoding(size=(9, 9), channels=1)
    notes = open_dataset(str(tmp_path), decoding=decoding, cache_directory=tmp_path / "cache").notes
    assert f"4 images: {NARROW}" in notes
    dim = (VALUES[None].repeat(20, 0) / 65_535, [0, 1] * 10)
    notes = open_dataset(probe_given(dim), decoding=decoding).notes
    assert any(note.startswith("a sample of 20 images has levels of 25 to 37 alone, of 0 to 255") for note in notes)
    clear = open_dataset(probe_given(dim, value_range="minmax"), decoding=decoding).notes
    assert not any("alone" in note for note in clear)


def test_a_run_keeps_its_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two classes that differ in a thirtieth of the range: as files, as arrays, and in every command after."""
    bright = [DRAW.integers(7000, 7400 + 1200 * (row % 2), (10, 10), dtype=np.uint16) for row in range(40)]
    for row, values in enumerate(bright):
        folder = tmp_path / "data" / ("dim", "bright")[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.png").write_bytes(encoded(values, "PNG"))
    recipe = convscope.Recipe(model="lenet5", epochs=1, value_range="7000:9e3", device="cpu", autotune="rules")
    outcome = convscope.train(
        (bright, ["dim", "bright"] * 20), recipe, runs_directory=tmp_path / "runs", cache_directory=tmp_path / "cache"
    )
    predictor = convscope.load(outcome)
    assert predictor.spec.decoding.value_range == "7000:9000"
    of_file = predictor(tmp_path / "data" / "bright" / "1.png")
    assert of_file.to_dict()["top"] == predictor(bright[1]).to_dict()["top"] != predictor(bright[0]).to_dict()["top"]
    again = convscope.evaluate(outcome, (bright, ["dim", "bright"] * 20), cache_directory=tmp_path / "cache")
    assert again.scores.split == "test"  # recognised as the run's own
    with pytest.raises(DataError, match="image 3: none of its pixels lies in the value_range 7000:9000"):
        convscope.evaluate(outcome, (np.stack([*bright[:3], bright[0] - 5000]), ["dim"] * 4))
    run = outcome.run.path
    code, out, err = run_command(capsys, "evaluate", run, tmp_path / "data", "--cache", tmp_path / "cache")
    assert (code, err) == (0, "") and NARROW not in out
    code, out, err = run_command(
        capsys, "explain", run, tmp_path / "data" / "dim" / "0.png", "--layer", "c1", "--at", "4,4"
    )
    assert (code, err) == (0, "")
    code, _, err = run_command(capsys, "train", tmp_path / "data", "--value-range", "9:1", "--runs", tmp_path / "runs")
    assert (code, err) == (2, "convscope: value_range is 9:1: LOW must be below HIGH\n")


def test_images_of_8_bits_are_counted_whatever_holds_them() -> None:
    levels = np.arange(20 * 64, dtype=np.uint8).reshape(20, 8, 8)
    for source in ("digits", (levels, np.arange(20) % 2)):
        found = probe_given(source, value_range="10:20")
        decoding = replace(found.default_decoding(), value_range="10:20")
        count = sum(found.counts.values())
        assert f"{count:,} images: {EIGHT_BITS}" in open_dataset(found, decoding=decoding).notes


def test_16_bit_grey_with_alpha_is_not_called_colour() -> None:
    # Pillow writes no such PNG: width, height, 16 bits, grey with alpha.
    header = struct.pack(">IIBBBBB", 2, 2, 16, 4, 0, 0, 0)
    parts = (b"IHDR" + header, b"IDAT" + zlib.compress(bytes(2 * (1 + 2 * 4))), b"IEND")
    chunks = (struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts)
    with pytest.raises(UnreadableError, match=r"16-bit transparency is read .* to grey without alpha"):
        decode_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), Decoding(size=(2, 2), channels=1, value_range="0:9"))
