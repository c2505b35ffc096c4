"""`convscope ablate`: an ablation study. torch is imported when the work begins."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from convscope.cli.command_process import command_process
from convscope.cli.given_options import require_resumed_in_place
from convscope.cli.output import echo
from convscope.cli.own_code import trust_option, with_trusted
from convscope.cli.progress import log_lines, training_progress
from convscope.cli.settings import RecipeCommand, from_recipe, given_settings, recipe_for, recipe_options
from convscope.errors import RunError
from convscope.files.fields import in_short
from convscope.report.printable import from_here


@click.command(
    "ablate",
    cls=RecipeCommand,
    epilog="Ctrl-C ends it at once; complete trainings are kept, and --resume goes on.",
)
@click.argument("data", required=False)
@click.option(
    "--without",
    metavar="PARTS",
    help="Parts to remove, separated by commas: relu,dropout,augmentation,...  [the usual ones present]",
)
@click.option("--seeds", type=click.IntRange(1), help="Trainings of each variant, each with a seed of its own  [3]")
@click.option("--jobs", metavar="N", default="auto", help="Trainings in parallel  [auto: by cores and memory]")
@from_recipe
@click.option("--resume", metavar="FOLDER", help="Resume an ablation; --without and --seeds may add to it.")
@trust_option
@click.option("--name", metavar="NAME", help="Name of the directory  [ablate-DATA-MODEL]")
@click.option("--runs", "runs_directory", metavar="FOLDER", default="runs", help="Folder of the directory  [runs]")
@click.option("--cache", metavar="FOLDER", help="Folder of the cache of decoded images.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@recipe_options(without=("data",))
@click.pass_context
def command(
    context: click.Context,
    data: str | None,
    without: str | None,
    seeds: int | None,
    jobs: str,
    recipe_file: str | None,
    resume: str | None,
    trust_code: bool,
    name: str | None,
    runs_directory: str,
    cache: str | None,
    as_json: bool,
) -> int:
    """Train on DATA with everything on and with one part removed at a time, several seeds each, and compare.

    The network is alexnet-mini unless --model says otherwise. All trainings share the split, the learning rate and
    every other setting; those of one seed start from the same weights and see the images in the same order.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.data.open import SOURCES
    from convscope.runs.lock import locked_early

    began = command_process().began
    settings = given_settings(context)
    parts = None if without is None else [part.strip() for part in without.split(",") if part.strip()]
    with (
        nullcontext() if resume is None else locked_early(Path(resume)),
        training_progress(quiet=as_json) as listener,
    ):
        from convscope.experiments.ablation.ablate import ablate_on, begin_ablation
        from convscope.runs.run_directory import Run

        if resume is not None:
            model = str(settings.pop("model", ""))
            if data is not None or recipe_file is not None or name is not None or settings:
                raise RunError(
                    "--resume FOLDER takes data and settings from the folder: give --without, --seeds, --jobs only"
                )
            require_resumed_in_place(Path(resume), runs_directory)
            found = ablate_on(
                Run(Path(resume), model=model, trust_code=trust_code),
                without=parts,
                seeds=seeds,
                jobs=_jobs(jobs),
                cache_directory=cache,
                listener=listener,
                began=began,
            )
        else:
            recipe = recipe_for(recipe_file, with_trusted(settings, recipe_file, trust_code), data)
            if not recipe.data:
                raise RunError(f"there is nothing to train on: name {SOURCES}")
            found = begin_ablation(
                recipe,
                without=parts,
                seeds=3 if seeds is None else seeds,
                jobs=_jobs(jobs),
                name=name,
                runs_directory=Path(runs_directory),
                cache_directory=None if cache is None else Path(cache),
                listener=listener,
                began=began,
            )
    lines = [str(found), f"report {from_here(found.report)}"] if found.trials else []
    log_lines(found.run, "\n".join(lines).splitlines())
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        for line in lines:
            echo(line)
    return found.exit_code


def _jobs(text: str) -> Any:
    if text == "auto":
        return text
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise RunError(f"--jobs {in_short(text)}: give a number of at least 1, or auto")
    return int(text)
