"""`convscope ablate`: an ablation study. torch is imported when the work begins."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convscope.cli.output import echo
from convscope.cli.progress import log_lines
from convscope.cli.settings import RecipeCommand, given_settings, recipe_for, recipe_options
from convscope.errors import RunError
from convscope.report.printable import printable
from convscope.report.units import seconds

if TYPE_CHECKING:
    from convscope.experiments.ablation.series import AblationListener

EVERY_SECONDS = 60.0  # a log gets a line between two results no more often than this


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
@click.option(
    "--recipe",
    "recipe_file",
    metavar="fast|classic|finetune|FILE",
    help="The recipe to start from: a preset, or a TOML file  [fast]",
)
@click.option("--resume", metavar="FOLDER", help="Resume an ablation; --without and --seeds may add to it.")
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

    settings = given_settings(context)
    parts = None if without is None else [part.strip() for part in without.split(",") if part.strip()]
    with (
        nullcontext() if resume is None else locked_early(Path(resume)),
        _watching(quiet=as_json) as watcher,
    ):
        from convscope.experiments.ablation.ablate import ablate, ablate_on

        if resume is not None:
            if data is not None or recipe_file is not None or name is not None or settings:
                raise RunError(
                    "--resume FOLDER takes data and settings from the folder: give --without, --seeds, --jobs only"
                )
            found = ablate_on(
                resume, without=parts, seeds=seeds, jobs=_jobs(jobs), cache_directory=cache, listener=watcher
            )
        else:
            recipe = recipe_for(recipe_file, settings, data)
            if not recipe.data:
                raise RunError(f"there is nothing to train on: name {SOURCES}")
            found = ablate(
                recipe.data,
                recipe,
                without=parts,
                seeds=3 if seeds is None else seeds,
                jobs=_jobs(jobs),
                name=name,
                runs_directory=runs_directory,
                cache_directory=cache,
                listener=watcher,
            )
    lines = [str(found), f"report {found.report}"] if found.trials else []
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
    if not text.isdecimal() or int(text) < 1:
        raise RunError(f"--jobs {text}: give a number of at least 1, or auto")
    return int(text)


@contextmanager
def _watching(*, quiet: bool) -> Iterator[AblationListener]:
    from convscope.experiments.ablation.series import SilentAblation

    if quiet:
        yield SilentAblation()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            yield _AblationBars(bars)
    else:
        yield _AblationLines()


class _AblationLines:
    """Plain lines: each message, and the progress at intervals."""

    def __init__(self) -> None:
        self._spoke = time.monotonic()

    def notify(self, line: str) -> None:
        self._spoke = time.monotonic()
        print(printable(line), file=sys.stderr, flush=True)

    def progressed(self, done: int, total: int, what: str) -> None:
        if time.monotonic() - self._spoke > EVERY_SECONDS / 6:
            self.notify(f"{what}: {done:,} of {total:,}")

    def moved(self, share: float, seconds_left: float | None) -> None:
        if time.monotonic() - self._spoke > EVERY_SECONDS and seconds_left is not None and seconds_left >= 1:
            self.notify(f"{share:.0%} of all trainings done, {seconds(seconds_left)} left")


class _AblationBars:
    """The same above a progress bar."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def notify(self, line: str) -> None:
        from rich.text import Text

        self._bars.console.print(Text(printable(line)), soft_wrap=True)

    def progressed(self, done: int, total: int, what: str) -> None:
        self._update(what, done, total or None, "")
        if total and done >= total:
            self._bars.remove_task(self._tasks.pop(what))

    def moved(self, share: float, seconds_left: float | None) -> None:
        self._update("trainings", share, 1.0, f"{seconds(seconds_left)} left" if seconds_left else "")

    def _update(self, what: str, done: float, total: float | None, note: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(printable(what), total=total, note=note)
        self._bars.update(self._tasks[what], completed=done, total=total, note=note)
