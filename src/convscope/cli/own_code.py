"""The options of commands that open a run: whose code may be run, where its network is the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.command import Command
from convscope.errors import RunError

if TYPE_CHECKING:
    from convscope.recipe.setting import SettingValue
    from convscope.runs.run_directory import Run


# Also an option of the commands that train, whose --model is the recipe's setting.
trust_option = click.option(
    "--trust-code", is_flag=True, help="Run the copy that RUN holds of the code of its network, if that is a file's."
)


def code_options(command: Command) -> Command:
    """Add the options to a command, as its arguments `code` and `trust_code`."""
    named = click.option(
        "--model",
        "code",
        default="",
        metavar="FILE.py:FACTORY",
        help="Where the code of RUN's network is, if that is a file's; it is run.",
    )
    return named(trust_option(command))


def with_trusted(given: dict[str, SettingValue], recipe_file: str | None, trust_code: bool) -> dict[str, SettingValue]:
    """Return the settings of a training that begins, with the copy of the run that its weights or recipe are of.

    Raises:
        RunError: the option is given, and there is no such run, or the network is named as well.
    """
    if not trust_code:
        return given
    from convscope.runs.run_like import open_run

    path = Path(str(given.get("weights", "") or recipe_file or ""))
    folder = path if path.is_dir() else path.parent
    if not path.name or not (folder / "model.json").is_file():
        raise RunError(
            "--trust-code is for the code that a run holds: give --resume RUN, --weights RUN or "
            "--recipe RUN/recipe.toml, or leave it out"
        )
    run = open_run(folder, model=str(given.get("model", "")), trust_code=True)
    run.require_code()
    return {**given, "model": run.spec().code}


def with_code(model: str, code: str, trust_code: bool) -> str | Run:
    """Return a model as it was given; with either option, the run, or the checkpoint in it, with its code."""
    if not code and not trust_code:
        return model
    from convscope.runs.run_like import run_of

    return run_of(model, model=code, trust_code=trust_code)


def each_with_code(models: tuple[str, ...], code: str, trust_code: bool) -> list[str | Run]:
    """Return models as they were given, and with either option the runs of own code among them with their code."""
    if not code and not trust_code:
        return list(models)
    from convscope.runs.run_like import run_of

    own = [name for name in models if Path(name).is_dir() and run_of(name).spec().source is not None]
    return [with_code(name, code, trust_code) if name in own or not own else name for name in models]
