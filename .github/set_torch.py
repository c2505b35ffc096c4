"""Let constraints.txt pin another torch: the oldest that pyproject.toml declares, or no version (the newest).

python .github/set_torch.py oldest|newest
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"


def torch_requirement(which: str) -> str:
    """Return the requirement of torch for "oldest" or "newest".

    Raises:
        SystemExit: another word, or no lower bound in pyproject.toml.
    """
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = next(item for item in dependencies if re.match(r"torch\b", item))
    bound = re.search(r">=\s*([\d.]+)", declared)
    if which == "newest":
        return declared
    if which != "oldest" or bound is None:
        raise SystemExit(f"got {which!r} and {declared!r}: needed are oldest or newest, and a lower bound of torch")
    return f"torch=={bound[1]}.*"


def main() -> None:
    """Rewrite constraints.txt: the torch that was asked for, and no pin for what depends on Python's version."""
    requirement = torch_requirement(*sys.argv[1:2] or [""])
    CONSTRAINTS.write_text(requirement + "\n")
    print(f"{CONSTRAINTS.name}: {requirement}")


if __name__ == "__main__":
    main()
