"""The view of a training as bytes: read back as written, and refused where it is damaged."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.errors import RunError
from convscope.files.regular import UnreadableError
from convscope.runs.events import StepProgress
from convscope.runs.live_files import LiveFiles, LiveProgress
from convscope.runs.live_view import LARGEST_VIEW, LivePicture, LiveView

NORMS = st.dictionaries(st.text(max_size=5), st.none() | st.floats(0, 1e6).map(lambda x: float(f"{x:.5g}")), max_size=3)


@st.composite
def pictures(draw: st.DrawFn) -> LivePicture:
    count, height, width = (draw(st.integers(1, 4)) for _ in range(3))
    colours = draw(st.sampled_from([1, 3]))
    ends = count if draw(st.booleans()) else 1
    numbers = st.integers(-9, 9).map(float)
    return LivePicture(
        kind=draw(st.sampled_from(["image", "filters", "maps"])),
        layer=draw(st.text(max_size=8)),
        shape=(count, height, width, colours),
        channels=tuple(range(count)),
        total=draw(st.integers(count, 99)),
        low=tuple(draw(numbers) for _ in range(ends)),
        high=tuple(draw(numbers) for _ in range(ends)),
        pixels=draw(st.binary(min_size=count * height * width * colours, max_size=count * height * width * colours)),
    )


VIEWS = st.builds(
    LiveView,
    step=st.integers(0, 10**9),
    epoch=st.integers(0, 999).map(lambda n: n / 4),
    time=st.integers(0, 10**9).map(float),
    pictures=st.lists(pictures(), max_size=3).map(tuple),
    outputs=NORMS,
    gradients=NORMS,
)


@settings(max_examples=60, deadline=None)
@given(VIEWS)
def test_a_view_is_read_as_it_was_written(view: LiveView) -> None:
    assert LiveView.decoded(view.encoded()) == view


@settings(max_examples=150, deadline=None)
@given(VIEWS, st.data())
def test_a_damaged_view_is_refused_or_is_a_view(view: LiveView, data: st.DataObject) -> None:
    whole = bytearray(view.encoded())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = LiveView.decoded(bytes(whole))
    except UnreadableError:
        return
    for picture in found.pictures:
        count, height, width, colours = picture.shape
        assert len(picture.pixels) == count * height * width * colours


def test_hostile_views_and_progress_are_refused(tmp_path: Path) -> None:
    files = LiveFiles(tmp_path)
    assert files.read_view() is None and files.read_progress() is None
    files.folder.mkdir()
    picture = {"kind": "maps", "layer": "", "channels": [0], "total": 1, "low": [0], "high": [1]}
    rest = {"format": 1, "step": 1, "epoch": 1, "time": 1, "outputs": {}, "gradients": {}}
    for shape in ([4096, 4096, 4096, 3], [1, 1, 1, 2], [-1, 1, 1, 1], [1, 1, 1]):
        header = json.dumps({**rest, "pictures": [{**picture, "shape": shape}]}).encode()
        files.view_path.write_bytes(struct.pack("<I", len(header)) + header)
        with pytest.raises(RunError, match=r"live/view\.bin: "):
            files.read_view()
    for content in (b"", b"\xff\xff\xff\xff", b"\0\0\0\0", bytes(LARGEST_VIEW + 1)):
        files.view_path.write_bytes(content)
        with pytest.raises(RunError):
            files.read_view()
    for text in ("", "[]", '{"time": 1e999}', '{"phase": "training"}', "\0"):
        files.progress_path.write_text(text)
        assert files.read_progress() is None


def test_what_is_asked_for_is_a_file_and_no_link_is_followed(tmp_path: Path) -> None:
    files, outside = LiveFiles(tmp_path / "run"), tmp_path / "outside"
    files.run.mkdir()
    files.folder.mkdir()
    (files.folder / "pause").symlink_to(outside)
    assert files.is_asked("pause")
    files.ask("pause")
    assert not outside.exists() and not (files.folder / "pause").is_symlink()
    within = StepProgress(
        epoch=1, epochs=2, batch=1, batches=2, step=1, steps=4, loss=math.nan, accuracy=0.5, learning_rate=0.1,
        images_per_second=9.0, seconds_left=1.0,
    )  # fmt: skip
    for loss in (0.25, math.nan):
        progress = LiveProgress(time=1.0, phase="training", within=replace(within, loss=loss), paused=True)
        files.write_progress(progress)
        assert files.read_progress() == progress
    assert json.loads(files.progress_path.read_bytes())["loss"] is None
    assert not files.is_watched
    files.watch()
    assert files.is_watched
    files.clear()
    assert not files.is_asked("pause") and files.read_progress() is None
