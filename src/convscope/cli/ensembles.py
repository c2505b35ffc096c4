"""`convscope train --ensemble N`: train several networks. torch is imported when the work begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.output import echo
from convscope.cli.progress import log_lines, training_progress
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import SettingValue

if TYPE_CHECKING:
    from convscope.experiments.ensemble.outcome import EnsembleOutcome
    from convscope.runs.run_directory import Run


def is_ensemble(run: Run) -> bool:
    """Return whether a directory is that of an ensemble."""
    return run.spec_path.is_file() and run.spec().members is not None


def train_members(
    recipe: Recipe,
    members: int,
    *,
    name: str | None,
    runs_directory: str,
    cache: str | None,
    as_json: bool,
    began: float,
) -> int:
    """Train an ensemble, and print the result."""
    from convscope.experiments.ensemble.train import begin_ensemble

    with training_progress(quiet=as_json) as listener:
        outcome = begin_ensemble(
            recipe,
            members=members,
            name=name,
            runs_directory=Path(runs_directory),
            cache_directory=None if cache is None else Path(cache),
            listener=listener,
            began=began,
        )
    return _show(outcome, as_json)


def resume_members(
    run: Run, settings: dict[str, SettingValue], members: int | None, *, cache: str | None, as_json: bool, began: float
) -> int:
    """Resume an ensemble, and print the result."""
    from convscope.experiments.ensemble.train import train_ensemble_on

    if settings:
        raise RunError(
            f"{sorted(settings)[0]} can't change when an ensemble is resumed, only its number of members (--ensemble): "
            "start a new one instead"
        )
    with training_progress(quiet=as_json) as listener:
        outcome = train_ensemble_on(run, members=members, cache_directory=cache, listener=listener, began=began)
    return _show(outcome, as_json)


def _show(outcome: EnsembleOutcome, as_json: bool) -> int:
    lines = outcome.lines()
    log_lines(outcome.run, lines)
    if as_json:
        click.echo(json.dumps(outcome.to_dict(), indent=2))
    else:
        for line in lines:
            echo(line)
    return outcome.exit_code
