"""A large JPEG decoded at a reduced size: the rule, equal geometry at every orientation, and equal decoders."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import convscope
from convscope.data.pixels import jpeg
from convscope.data.pixels.decode import decode_bytes
from convscope.data.pixels.reduced import SIDES_KEPT, reduction, reduction_of
from convscope.data.pixels.resize import crop_box, letterbox_size
from convscope.data.records import Decoding, ResizeMode
from convscope.errors import DataError
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError

SIDES, TARGETS = st.integers(1, 12_000), st.integers(1, 600)
MODES: tuple[ResizeMode, ...] = ("crop", "letterbox", "squash")


@given(width=SIDES, height=SIDES, across=TARGETS, down=TARGETS, mode=st.sampled_from(MODES))
def test_the_rule_keeps_three_times_the_sides_and_is_the_largest_that_does(
    width: int, height: int, across: int, down: int, mode: ResizeMode
) -> None:
    factor = reduction((width, height), (across, down), mode)
    left, top, right, bottom = crop_box((width, height), (across, down))
    used = (right - left, bottom - top) if mode == "crop" else (width, height)
    goal = letterbox_size((width, height), (across, down)) if mode == "letterbox" else (across, down)

    def keeps(by: int) -> bool:
        return all(side >= SIDES_KEPT * by * wanted for side, wanted in zip(used, goal, strict=True))

    assert factor == max(by for by in (1, 2, 4, 8) if by == 1 or keeps(by))
    # The quick look at the longer side changes no answer, nor does the orientation of the file.
    decoding = Decoding(size=(down, across), resize_mode=mode)
    assert reduction_of((width, height), 1, decoding) == reduction_of((height, width), 6, decoding) == factor
    assert reduction_of((width, height), 1, replace(decoding, jpeg_reduction=0)) == 1


def smooth(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A picture whose levels say where a pixel lies: a ramp across, one down, and a curve."""
    x, y = np.linspace(0, 1, width)[None, :], np.linspace(0, 1, height)[:, None]
    planes = [250 * x + 0 * y, 250 * y + 0 * x, 125 + 120 * np.sin(3 * x + 2 * y)]
    return Image.fromarray(np.stack(planes, 2).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, orientation: int = 1, **settings: object) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    image.save(stream, "JPEG", quality=95, exif=exif, **settings)
    return stream.getvalue()


def check(data: bytes, decoding: Decoding, monkeypatch: pytest.MonkeyPatch, *, bias: float) -> None:
    """Compare both decoders with each other, and with decoding at the full size."""
    seen = decode_bytes(data, decoding)[0]
    whole = decode_bytes(data, replace(decoding, jpeg_reduction=0))[0]
    with monkeypatch.context() as patch:
        patch.setattr(jpeg, "_fast_jpeg", lambda: None)
        assert np.array_equal(seen, decode_bytes(data, decoding)[0])
    difference = seen.astype(int) - whole
    assert np.abs(difference.mean((0, 1))).max() < bias and np.abs(difference).max() <= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_geometry_is_that_of_the_full_size(
    mode: ResizeMode, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 8 divides neither side, and leaves 7 and 5 pixels of the last block.
    data = encoded(smooth(807, 613), orientation)
    for size in ((24, 20), (30, 90)):
        # A shift by one pixel of the full size is 0.3 of a level in the mean of a ramp.
        check(data, Decoding(size=size, resize_mode=mode), monkeypatch, bias=0.2)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"subsampling": 0}], ids=["plain", "scans", "4:4:4"])
def test_all_kinds_of_jpeg(mode: str, settings: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(smooth(401, 299, mode), **({} if mode != "RGB" and "subsampling" in settings else settings))
    for channels in (1, 3):
        check(data, Decoding(size=(16, 16), channels=channels), monkeypatch, bias=0.4)


def test_damage_is_seen_at_a_reduced_size() -> None:
    data = bytearray(encoded(smooth(800, 600)))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    with pytest.raises(UnreadableError, match="JPEG"):
        decode_bytes(bytes(data), Decoding(size=(16, 16)))


def test_a_run_decodes_by_the_rule_that_it_was_trained_with() -> None:
    kept = Decoding(size=(32, 32)).to_dict()
    assert Decoding.from_fields(Fields(kept)) == Decoding(size=(32, 32))
    before = {name: value for name, value in kept.items() if name not in ("jpeg_reduction", "max_megapixels")}
    assert Decoding.from_fields(Fields(before)).jpeg_reduction == 0
    with pytest.raises(UnreadableError, match="jpeg_reduction is 2: this version knows 0 to 1"):
        Decoding.from_fields(Fields({**kept, "jpeg_reduction": 2}))


def test_the_limit_of_megapixels_is_a_setting() -> None:
    data = encoded(smooth(1500, 1000, "L"))
    assert decode_bytes(data, Decoding(size=(8, 8), max_megapixels=2))[0].shape == (8, 8, 3)
    with pytest.raises(UnreadableError, match="1500x1000 is 2 megapixels; the limit is 1"):
        decode_bytes(data, Decoding(size=(8, 8), max_megapixels=1))
    with pytest.raises(DataError, match="max_megapixels is 179: it is 1 to 178"):
        Decoding(size=(8, 8), max_megapixels=179)


def test_an_older_run_is_resumed_by_its_own_rule(tmp_path: Path) -> None:
    for row in range(20):
        (tmp_path / "data" / f"class{row % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / f"class{row % 2}" / f"{row}.jpg").write_bytes(encoded(smooth(200 + row, 200)))
    places = {"cache_directory": tmp_path / "cache", "progress": False}
    recipe = convscope.Recipe(model="lenet5", epochs=1, image_size="16", device="cpu", autotune="rules")
    outcome = convscope.train(str(tmp_path / "data"), recipe, runs_directory=tmp_path / "runs", **places)
    spec = outcome.run.path / "model.json"
    kept = json.loads(spec.read_text())
    assert kept["preprocessing"].pop("jpeg_reduction") == 1
    spec.write_text(json.dumps(kept))
    longer = convscope.train(resume=outcome, recipe=convscope.Recipe(epochs=2), **places)
    assert convscope.load(longer).spec.decoding.jpeg_reduction == 0
    entries = [json.loads(path.read_text())["decoding"] for path in (tmp_path / "cache").glob("*/entry.json")]
    assert sorted(entry["jpeg_reduction"] for entry in entries) == [0, 1]
