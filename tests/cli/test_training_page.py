"""Every command and program of docs/training.md runs, in order, on a small folder of images."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data_makers as made
from convscope.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_page_tells_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    for name in ("daisy", "rose", "tulip"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    made.shapes_table(tmp_path / "shapes", 40)
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ convscope (.+)$", PAGE, re.MULTILINE)
    assert len(commands) == 12
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command))
        assert ended.value.code == 0, command
    written = {path.name for path in (tmp_path / "runs" / "flowers").iterdir()}
    of_files = PAGE.split("## Read the run directory")[1].split("\n## ")[0]
    assert written == set(re.findall(r"^\| `([\w.]+)/?` \|", of_files, re.MULTILINE))
    for program in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(program, {})
