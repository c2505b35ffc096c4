"""The modules of the room Learn, asked by Node.js for the same cases as their twins in Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NODE = shutil.which("node")
SCRIPT = Path(__file__).parent / "studio" / "js" / "learn_twin.mjs"


def ask_page(part: str, cases: Any) -> list[Any]:
    """Return what the page's modules make of the cases; skip the test where Node.js is missing.

    Args:
        part: "arithmetic" or "marking".
        cases: as the script takes them.
    """
    if NODE is None:
        pytest.skip("node is not installed")
    done = subprocess.run(
        [NODE, str(SCRIPT), part], input=json.dumps(cases), capture_output=True, text=True, encoding="utf-8",
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[Any] = json.loads(done.stdout)
    return found
