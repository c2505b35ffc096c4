"""An exception of our own is never blamed on the user's image: only what a decoder says of the bytes is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hostile_images as made
from convscope.cli.main import main
from convscope.data.open import open_dataset, probe
from convscope.data.pixels import decode
from convscope.data.pixels.decode import decode_bytes
from convscope.data.records import Decoding
from convscope.data.sources import arrays

SMALL = Decoding(size=(8, 8))
FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: made.J,
    "cmyk": lambda: made.encode(made.picture().convert("CMYK"), "JPEG"),
    "png": lambda: made.P,
    "palette": lambda: made.encode(made.picture().quantize(9), "PNG"),
    "webp": lambda: made.W,
    "gif": lambda: made.G,
    "tiff": lambda: made.T,
}


class OursError(Exception):
    """A fault of our code."""


def fail(*_: object, **__: object) -> None:
    raise OursError


@pytest.mark.parametrize("step", ["fit", "turned", "flatten", "crop_box", "check_strips", "check_rows"])
@pytest.mark.parametrize("name", FILES)
def test_a_fault_in_any_step_of_ours_comes_out_as_it_is(name: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, step, fail)
    reached = {"flatten": name not in ("jpeg", "cmyk"), "check_strips": name == "tiff", "check_rows": False}
    if not reached.get(step, True):
        decode_bytes(FILES[name](), SMALL)
        return
    with pytest.raises(OursError):
        decode_bytes(FILES[name](), SMALL)


def test_a_fault_in_fitting_an_array_comes_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "fit", fail)
    with pytest.raises(OursError):
        open_dataset("digits", decoding=Decoding(size=(9, 9)))


@pytest.mark.parametrize("stream", [False, True])
def test_no_image_is_kept_out_for_it(stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            made.picture(20 + number, 30).save(tmp_path / name / f"{number}.png")
    found = probe(str(tmp_path))
    monkeypatch.setattr(decode, "fit", fail)
    with pytest.raises(OursError):
        open_dataset(found, decoding=SMALL, stream=stream, validation_fraction=0.2, cache_directory=tmp_path / "c")


def test_the_command_line_calls_it_a_failure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            level = np.full((25, 25, 3), 40 * number, np.uint8)
            Image.fromarray(level).save(tmp_path / "data" / name / f"{number}.png")
    monkeypatch.setattr(decode, "fit", fail)
    monkeypatch.chdir(tmp_path)
    # Python's own traceback and exit code 1, rather than a line about the user's images and 2.
    with pytest.raises(OursError):
        main(["train", "data", "--image-size", "16", "--epochs", "1", "--cache", str(tmp_path / "cache")])
    assert "can't be read" not in "".join(capsys.readouterr())
