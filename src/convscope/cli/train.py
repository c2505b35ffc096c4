"""`convscope train`: train on images, and write a run directory. torch is imported when the work begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.command_process import command_process
from convscope.cli.ensembles import is_ensemble, resume_members, train_members
from convscope.cli.given_options import require_resumed_in_place
from convscope.cli.output import echo, echo_json
from convscope.cli.own_code import trust_option, with_trusted
from convscope.cli.progress import log_lines, training_progress
from convscope.cli.settings import RecipeCommand, from_recipe, given_settings, recipe_for, recipe_options
from convscope.errors import RunError

if TYPE_CHECKING:
    from convscope.recipe.setting import SettingValue
    from convscope.runs.run_directory import Run
    from convscope.training.outcome import Outcome
    from convscope.training.training_forecast import TrainingForecast


@click.command(
    "train",
    cls=RecipeCommand,
    epilog="Ctrl-C once: the best weights and the report are written (--resume RUN goes on); twice: stop at once.",
)
@click.argument("data", required=False)
@from_recipe
@click.option(
    "--resume",
    metavar="RUN",
    help="Resume a run; --epochs, --steps or --minutes may add some.",
)
@trust_option
@click.option("--ensemble", type=int, metavar="N", help="Train N networks from N seeds, and average their predictions.")
@click.option("--forecast", is_flag=True, help="Print what the training would take, and do not train.")
@click.option("--name", metavar="NAME", help="Name of the run directory  [DATA-MODEL]")
@click.option("--runs", "runs_directory", metavar="FOLDER", default="runs", help="Folder of run directories  [runs]")
@click.option("--cache", metavar="FOLDER", help="Folder of the cache of decoded images.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@recipe_options(without=("data",))
@click.pass_context
def command(
    context: click.Context,
    data: str | None,
    recipe_file: str | None,
    resume: str | None,
    trust_code: bool,
    ensemble: int | None,
    forecast: bool,
    name: str | None,
    runs_directory: str,
    cache: str | None,
    as_json: bool,
) -> int:
    """Train a network on DATA, and write a run directory with the weights and a report.

    DATA is a folder of images (a folder for each class, or train/, val/ and test/ with such folders), a CSV file of
    images and their labels, one or several each, WebDataset shards, a folder of IDX files or of CIFAR binaries, or the
    built-in digits. What is left at auto is chosen by the images and the minutes. To train in several processes, start
    it with torchrun --nproc-per-node N -m convscope.
    """
    from convscope.hardware.allocator import prepare_memory
    from convscope.hardware.rank import Rank
    from convscope.runs.lock import locked_early
    from convscope.runs.run_like import open_run, with_code

    prepare_memory()  # before torch is imported
    began = command_process().began
    settings = given_settings(context)
    first = Rank.of().first
    if forecast and (resume is not None or ensemble is not None):
        other = "--resume" if resume is not None else "--ensemble"
        raise RunError(f"--forecast and {other}: only the training of one new network is forecast alone")
    if resume is not None:
        if data is not None or recipe_file is not None or name is not None:
            raise RunError(
                "--resume RUN takes its data, recipe and name from the run: leave DATA, --recipe and --name out"
            )
        require_resumed_in_place(Path(resume), runs_directory)
        with locked_early(Path(resume), writes=first):
            run, settings = with_code(open_run(Path(resume), trust_code=trust_code), settings)
            return _go_on(run, settings, ensemble, cache=cache, as_json=as_json, first=first, began=began)
    recipe = recipe_for(recipe_file, with_trusted(settings, recipe_file, trust_code), data)
    if ensemble is not None:
        return train_members(
            recipe, ensemble, name=name, runs_directory=runs_directory, cache=cache, as_json=as_json, began=began
        )
    from convscope.training.train_run import forecast_new, train_new

    cache_directory = None if cache is None else Path(cache)
    quiet = as_json or not first
    if forecast:
        with training_progress(quiet=quiet) as listener:
            found = forecast_new(recipe, listener=listener, name=name, cache_directory=cache_directory, began=began)
        return _show_forecast(found, as_json=as_json, first=first)
    with training_progress(quiet=quiet) as listener:
        outcome = train_new(
            recipe,
            listener=listener,
            name=name,
            runs_directory=Path(runs_directory),
            cache_directory=cache_directory,
            began=began,
        )
    return _show(outcome, as_json=as_json, first=first)


def _show_forecast(found: TrainingForecast, *, as_json: bool, first: bool) -> int:
    """Print what a training would take; of several processes the first does."""
    if first and as_json:
        echo_json(found.to_dict())
    elif first:
        for line in found.lines():
            echo(line)
    return 0


def _go_on(
    run: Run,
    settings: dict[str, SettingValue],
    ensemble: int | None,
    *,
    cache: str | None,
    as_json: bool,
    first: bool,
    began: float,
) -> int:
    """Resume a run or an ensemble, whose lock is held."""
    from convscope.training.train_run import train_on

    if ensemble is not None or is_ensemble(run):
        return resume_members(run, settings, ensemble, cache=cache, as_json=as_json, began=began)
    with training_progress(quiet=as_json or not first) as listener:
        outcome = train_on(
            run,
            settings,
            listener=listener,
            cache_directory=None if cache is None else Path(cache),
            began=began,
        )
    return _show(outcome, as_json=as_json, first=first)


def _show(outcome: Outcome, *, as_json: bool, first: bool) -> int:
    """Print the result, add it to the log (the terminal may be closed), and return the exit code."""
    if not first:
        return outcome.exit_code
    lines = outcome.lines()
    log_lines(outcome.run, lines)
    if as_json:
        click.echo(json.dumps(outcome.to_dict(), indent=2))
    else:
        for line in lines:
            echo(line)
    return outcome.exit_code
