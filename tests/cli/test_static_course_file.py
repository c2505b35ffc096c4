"""`convscope studio --course FILE`: what it refuses in one line, and the file that it writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from commands import run_command
from convscope.studio.exporting import static_course as module
from convscope.studio.exporting.static_course import static_course


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--course", "."], ". can't be written: it is a folder"),
        (["--course", "none/course.html"], "there is no folder none"),
        (["--course", "course.html", "--port", "0"], "--course writes a file and starts no server: leave --port out"),
        (["lenet5", "--course", "course.html"], "leave MODEL out"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(capsys, "studio", *arguments)
    assert (code, out) == (2, "") and line in err and err.count("\n") == 1
    assert not (tmp_path / "course.html").exists()


def test_a_folder_that_is_not_writable_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    path = tmp_path / "course.html"
    code, out, err = run_command(capsys, "studio", "--course", str(path))
    assert (code, out) == (2, "") and f"no permission to write {tmp_path}" in err and err.count("\n") == 1


def test_the_file_is_written_over_another_without_the_extra(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "static_course", lambda: static_course(draws=1))
    monkeypatch.setattr(module, "records", dict)
    monkeypatch.setitem(sys.modules, "starlette", None)
    path = tmp_path / "course.html"
    path.write_text("of an earlier version")
    code, out, err = run_command(capsys, "studio", "--course", str(path))
    assert (code, err) == (0, "") and out.startswith(f"{path}: the course with 100 draws of each exercise, ")
    assert path.read_bytes() == static_course(draws=1)
