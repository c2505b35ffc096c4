"""A locale of another encoding than UTF-8: names are bytes there, and are read as UTF-8 all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import data_makers as made
from convscope.files.text import path_in_text
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml

SOURCE = Path(__file__).parents[2] / "src"
LOCALE_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(SOURCE)}
LOOK = """
import json, os, sys
from convscope.data.open import probe
from convscope.recipe.recipe_file import load_recipe
folder = sys.argv[1]
data = load_recipe(os.path.join(folder, "recipe.toml")).data
here = (os.path.join(folder, name) for name in ("photos \\udcc3\\udca9", "t.csv"))
found = [probe(source) for source in (*here, data)]
print(json.dumps([sys.getfilesystemencoding(), *[[list(one.classes), len(one.listing.names)] for one in found]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_are_utf_8_in_locale_c(tmp_path: Path) -> None:
    data = tmp_path / "photos é"
    made.fill(data, {"cat 🐱": 3, "dog": 3})
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name} ü" for path in sorted(data.rglob("*.png"))]
    (tmp_path / "t.csv").write_text("\n".join(["image,label", *rows]), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(to_toml(Recipe(data=str(data))), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(tmp_path)],
        env={"PATH": os.environ["PATH"], **LOCALE_C},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    in_folder = [["cat 🐱", "dog"], 6]
    assert json.loads(done.stdout) == ["ascii", in_folder, [["cat 🐱 ü", "dog ü"], 6], in_folder]


def test_a_path_in_a_text_is_itself_in_utf_8() -> None:
    for path in ("photos/001.png", "photos é/🐱.png", "not \udcff utf-8"):
        assert path_in_text(path) == path
