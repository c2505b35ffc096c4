"""The modules of the page, tested by Node.js where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

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


@pytest.mark.skipif(_major() < 20, reason="Node.js 20 or newer is not installed")
def test_modules_of_the_page() -> None:
    assert NODE is not None
    files = sorted(str(path) for path in TESTS.glob("*.test.mjs"))
    found = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout[-6000:]
