"""Every command and every line of Python in docs/explain.md runs."""

from __future__ import annotations

import re
import shlex
import wave
from pathlib import Path

import numpy as np
import pytest

from convscope.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ convscope (.*)$", PAGE, flags=re.MULTILINE)
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with wave.open("three.wav", "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(np.arange(2400, dtype="<i2").tobytes())
    np.save("clip.npy", np.linspace(0, 1, 3 * 8 * 32 * 32, dtype=np.float32).reshape(3, 8, 32, 32))
    with pytest.raises(SystemExit) as left:
        main(shlex.split(line))
    assert left.value.code == 0
    said = capsys.readouterr().out
    shown = re.search(rf"^\$ convscope {re.escape(line)}\n((?:(?!\$|```).*\n)*)", PAGE, flags=re.MULTILINE)
    assert shown is not None and shown[1] in said


@pytest.mark.parametrize("source", PYTHON)
def test_the_python_of_the_page(source: str) -> None:
    exec(compile(source, "docs/explain.md", "exec"), {})
