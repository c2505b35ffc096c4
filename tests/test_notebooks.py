"""The notebooks: each runs as it is, shows what is committed, and satisfies mypy --strict and pyright."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELLS = 12  # of code, at most
BYTES = 1_500_000  # of all notebooks, outputs included
# What it prints is computed from shapes alone, so it is the same on every machine.
EXACT = "2_read_a_network"
FRESH = "%reset -f\nimport os, tempfile\nos.chdir(tempfile.mkdtemp(dir=os.pardir))\n%reset -f"


def generate() -> Any:
    """The script that writes the outputs."""
    spec = importlib.util.spec_from_file_location("generate_notebooks", ROOT / "docs" / "generate_notebooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_of(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[tuple[str, list[str]]]:
    """What a cell shows: the kinds of its outputs and the forms of each."""
    return [(output.output_type, sorted(output.get("data", {}))) for output in cell.outputs]


def texts(cell: Any) -> list[str]:
    """What a cell shows, as text."""
    return [output.get("text") or output.get("data", {}).get("text/plain") for output in cell.outputs]


@pytest.mark.parametrize("paths", [NOTEBOOKS[:3], NOTEBOOKS[3:]], ids=["1 to 3", "4 and 5"])
def test_notebooks_run_and_show_what_is_committed(paths: list[Path]) -> None:
    """In one kernel, which imports torch once: each begins with no name and in a folder of its own."""
    script, notebooks = generate(), [read(path) for path in paths]
    cells = [cell for notebook in notebooks for cell in (nbformat.v4.new_code_cell(FRESH), *notebook.cells)]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    executed = iter(script.code_cells(script.executed(nbformat.v4.new_notebook(cells=cells))))
    for path, notebook in zip(paths, notebooks, strict=True):
        assert next(executed).source == FRESH
        for number, before in enumerate(script.code_cells(notebook), 1):
            now, place = next(executed), f"{path.stem}, cell {number}"
            assert now.source == before.source
            wrong = [o for o in now.outputs if o.output_type == "error" or o.get("name") == "stderr"]
            assert not wrong, f"{place}: {wrong}"
            again = f"{place} shows something else than is committed: run `python docs/generate_notebooks.py`"
            assert kinds(now) == kinds(before) and before.execution_count == number, again
            if path.stem == EXACT:
                assert texts(now) == texts(before), again
    assert not list(executed)


def test_notebooks_are_short_and_listed() -> None:
    assert len(NOTEBOOKS) == 5
    assert all(len(code_of(path)) <= CELLS for path in NOTEBOOKS)
    assert sum(path.stat().st_size for path in NOTEBOOKS) < BYTES
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in NOTEBOOKS if f"(notebooks/{path.name})" not in readme]


def test_notebooks_hold_no_path_of_a_machine() -> None:
    found = [(path.name, re.search(r"(?:/tmp|/home|/root|/Users|/var|/work)/", path.read_text())) for path in NOTEBOOKS]
    assert not [(name, match[0]) for name, match in found if match]


@pytest.fixture
def modules(tmp_path: Path) -> list[str]:
    """The code of each notebook as a module of its own."""
    files = [tmp_path / f"notebook_{path.stem}.py" for path in NOTEBOOKS]
    for file, path in zip(files, NOTEBOOKS, strict=True):
        # What a cell ends with is shown, and would be an expression without use in a module.
        file.write_text("# pyright: reportUnusedExpression=false\n" + "\n\n".join(code_of(path)), encoding="utf-8")
    return [str(file) for file in files]


def test_notebooks_have_no_error_under_mypy_strict(modules: list[str]) -> None:
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_notebooks_have_no_error_under_pyright(modules: list[str]) -> None:
    if (pyright := shutil.which("pyright")) is None:
        pytest.skip("needs pyright on the path: npm install -g pyright")
    done = subprocess.run([pyright, "--pythonpath", sys.executable, *modules], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
