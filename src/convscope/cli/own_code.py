"""The options of commands that open a run: whose code may be run, where its network is the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.command import Command

if TYPE_CHECKING:
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


def with_code(model: str, code: str, trust_code: bool) -> str | Run:
    """Return a model as it was given; with either option, the run at this path with its code."""
    if not code and not trust_code:
        return model
    from convscope.runs.run_directory import open_run

    return open_run(Path(model), model=code, trust_code=trust_code)


def each_with_code(models: tuple[str, ...], code: str, trust_code: bool) -> list[str | Run]:
    """Return models as they were given, and with either option the runs of own code among them with their code."""
    if not code and not trust_code:
        return list(models)
    from convscope.runs.run_directory import open_run

    own = [name for name in models if Path(name).is_dir() and open_run(Path(name)).spec().source is not None]
    return [with_code(name, code, trust_code) if name in own or not own else name for name in models]
