"""The modules of the page, tested by Node.js where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from convscope.studio.compute import formula

TESTS = Path(__file__).parent / "js"
NODE = shutil.which("node")


def _major() -> int:
    if NODE is None:
        return 0
    return int(
        subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True)
        .stdout.strip("v\n")
        .split(".")[0]
    )


def test_the_page_draws_every_element_of_a_formula() -> None:
    studio = Path(formula.__file__).parents[1]
    written = set(re.findall(r"<(m[a-z]+)", Path(formula.__file__).read_text()))
    permitted = re.search(r'const ELEMENTS = new Set\("([a-z ]+)"', (studio / "static" / "mathml.js").read_text())
    assert permitted is not None and set(permitted[1].split()) == written


@pytest.mark.skipif(_major() < 20, reason="Node.js 20 or newer is not installed")
def test_modules_of_the_page() -> None:
    assert NODE is not None
    files = sorted(str(path) for path in TESTS.glob("*.test.mjs"))
    found = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stdout[-6000:]
