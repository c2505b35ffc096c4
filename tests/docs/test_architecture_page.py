"""docs/architecture.md names modules that exist, and the reason for each library in pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# A folder of a run, and a method.
NO_MODULES = {"code", "to_dict"}


def test_modules_in_the_tables_of_packages_exist() -> None:
    there = {name for path in (ROOT / "src").rglob("*") for name in (path.stem, path.name)}
    rows = [line for line in PAGE.partition("\n## Reach")[0].splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(?:\w+/)*([a-z_]+)/?`", row)}
    assert len(rows) > 50
    assert not named - there - NO_MODULES


def test_every_library_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = sum(project["optional-dependencies"].values(), project["dependencies"])
    named = set(re.findall(r"[\w-]+", PAGE.partition("\n## Libraries")[2]))
    assert not {re.match(r"[\w-]+", one)[0] for one in needed} - named


def test_every_extra_is_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Train")[0]
    assert set(project["optional-dependencies"]) - {"dev"} <= set(re.findall(r"`(\w+)`", readme))
