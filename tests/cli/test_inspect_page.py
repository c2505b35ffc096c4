"""The tables of docs/inspect.md: every kind of warning, every key of the JSON form."""

import re
from pathlib import Path
from typing import get_args

from convscope.graph.diagnose.finding import FindingKind
from convscope.interpret.inspection.record import inspect
from convscope.nets.build import build

PAGE = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text(encoding="utf-8")


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
