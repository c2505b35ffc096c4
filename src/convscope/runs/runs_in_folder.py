"""What a directory is that is no run, and the runs in it, for errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from convscope.report.printable import from_here
from convscope.report.usage import call_text
from convscope.runs.model_spec import NAME

ABLATION_PLAN = "ablation.json"
CHECKPOINTS = "checkpoint"
SHOWN = 5  # runs that an error names


def runs_in(folder: Path) -> list[Path]:
    """Return the run directories in a folder, by name."""
    return sorted(spec.parent for spec in folder.glob(f"*/{NAME}"))


def named_runs(runs: Sequence[Path]) -> str:
    """Return the first runs as they are typed from here, and how many there are beyond.

    >>> named_runs([Path("runs/a"), Path("runs/b")]), named_runs([Path("a")] * 8)
    ('runs/a, runs/b', 'a, a, a, a, a and 3 more')
    """
    more = f" and {len(runs) - SHOWN:,} more" if len(runs) > SHOWN else ""
    return f"{', '.join(map(from_here, runs[:SHOWN]))}{more}"


def no_run_at(folder: Path) -> str:
    """Return what a directory without model.json is, and what in it can be given instead.

    An ablation keeps the results of its trainings and no weights.
    """
    shown = from_here(folder)
    if os.path.lexists(folder / ABLATION_PLAN):
        return f"{shown} is an ablation, which keeps no networks: give a run of {call_text('train')}"
    if folder.name == CHECKPOINTS and os.path.lexists(folder.parent / NAME):
        steps = named_runs(sorted(folder.glob("step-*")))
        return f"{shown} holds checkpoints: give the run, {from_here(folder.parent)}{f', or {steps}' if steps else ''}"
    runs = runs_in(folder)
    inside = f": give one of the runs in it, {named_runs(runs)}" if runs else f": it has no {NAME}"
    return f"{shown} is not a run directory{inside}"
