"""Plans on the disk: one JSON file for each machine and work, in the folder of the cache.

A file that is damaged, foreign or of another version is as good as none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from convscope.errors import RunError
from convscope.files.checked import read_json
from convscope.files.regular import UnreadableError
from convscope.runs.atomic_files import write_file
from convscope.training.autotune.record import ComputePlan

FORMAT = 1
FOLDER = "plans"
LARGEST_FILE = 1_000_000


def plan_path(directory: Path, key: Mapping[str, object]) -> Path:
    """Where the plan for this machine and work lies."""
    digest = hashlib.sha256(json.dumps([FORMAT, key], sort_keys=True).encode()).hexdigest()
    return directory / FOLDER / f"{digest[:32]}.json"


def read_plan(directory: Path, key: Mapping[str, object]) -> ComputePlan | None:
    """Return the plan that was kept for this machine and work, or None."""
    path = plan_path(directory, key)
    try:
        kept = read_json(path, limit=LARGEST_FILE)
        # JSON makes lists of tuples: both sides are compared as JSON has them.
        if kept.integer("format") != FORMAT or kept.value("key") != json.loads(json.dumps(key)):
            return None
        return ComputePlan.from_fields(kept.object("plan"))
    except UnreadableError:
        return None


def keep_plan(directory: Path, key: Mapping[str, object], plan: ComputePlan) -> None:
    """Keep a plan; where the folder can't be written, it is measured again next time."""
    path = plan_path(directory, key)
    with suppress(OSError, RunError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps({"format": FORMAT, "key": key, "plan": plan.to_dict()}, indent=2) + "\n")
