"""docs/experiments.md: its table of variants is the code's, and its commands and program run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from convscope.cli.main import main
from convscope.experiments.ablation.variants import VARIANTS

PAGE = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")


def test_every_variant_is_on_the_page() -> None:
    told = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert told == {name: variant.how for name, variant in VARIANTS.items()}


@pytest.mark.long
def test_the_page_tells_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ convscope (.+)$", PAGE, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command))
        assert ended.value.code == 0, command
    for program in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(program, {})
