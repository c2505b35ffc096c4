"""The syntax trees of convscope, parsed once for all tests that look at its source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import convscope

SOURCE = Path(convscope.__file__).parent


@cache
def source_trees() -> dict[str, ast.Module]:
    """The trees by the files' paths within the package, in order: "cli/main.py"."""
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }
