"""docs/inspect.md tells the truth: every command's output, every program, and the tables of kinds and keys."""

import importlib.util
import re
from pathlib import Path
from typing import get_args

from convscope.graph.diagnose.finding import FindingKind
from convscope.interpret.inspection.record import inspect
from convscope.nets.build import build

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "inspect.md").read_text(encoding="utf-8")


def test_every_command_says_what_the_page_says(tmp_path: Path):
    spec = importlib.util.spec_from_file_location("generate_inspect", DOCS / "generate_inspect.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert PAGE.count("```console") >= 5
    assert generate.refreshed(PAGE, tmp_path) == PAGE, "run `python docs/generate_inspect.py`"


def test_every_program_runs():
    programs = [p for p in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if not p.startswith("# ")]
    for program in programs:
        exec(program, {})
    assert programs


def test_every_kind_of_warning_is_explained():
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE.partition("## Side by side")[0], re.MULTILINE)) == set(
        get_args(FindingKind)
    )


def test_every_key_of_the_json_is_documented():
    answer = inspect(lambda: build("lenet5"), (1, 32, 32)).to_dict()
    form = PAGE.partition("## The JSON form")[2]
    layer = answer["layers"][0]
    for key in (*answer, *answer["totals"], *layer, *layer["window"], *layer["receptive_field"]):
        assert re.search(rf"`{key}(\[\])*`", form), key
