"""The options on a command line, and which of them go together."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import click
from click.core import ParameterSource

from convscope.errors import RunError
from convscope.report.printable import from_here


def given_options() -> Iterator[click.Parameter]:
    """Yield the options and arguments of the running command that are on its command line."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            yield parameter


def take_only(why: str, names: Collection[str]) -> None:
    """Refuse an option or an argument on the command line that is not among those of these names.

    Args:
        why: what takes no others, the beginning of the message.
        names: of parameters.
    """
    for parameter in given_options():
        if parameter.name not in names:
            shown = parameter.opts[-1] if isinstance(parameter, click.Option) else (parameter.name or "").upper()
            raise click.UsageError(f"{why}: leave {shown} out")


def require_resumed_in_place(run: Path, folder: str) -> None:
    """Raise RunError where `--runs` is on the command line, and is not the folder of the run that is resumed."""
    given = any(parameter.name == "runs_directory" for parameter in given_options())
    # The run may be given as a link to it, or as `..`.
    folders = (os.path.realpath(run.absolute().parent), str(Path(os.path.realpath(run)).parent))
    if given and os.path.realpath(folder) not in folders:
        raise RunError(f"--resume goes on in {from_here(run)}, whose folder is not {folder}: leave --runs out")


def typed_again(*, without: Collection[str] = (), only: Collection[str] | None = None) -> list[str]:
    """Return the options that are on the command line, as words of the next command.

    Args:
        without: names of parameters that are left out.
        only: names of parameters to which the others are limited; all of them unless given.
    """
    given = click.get_current_context().params
    words: list[str] = []
    for parameter in given_options():
        name = parameter.name or ""
        if not isinstance(parameter, click.Option) or name in without or (only is not None and name not in only):
            continue
        option = next(opt for opt in parameter.opts if opt.startswith("--"))
        values = given[name] if parameter.multiple else (given[name],)
        words += [option] if parameter.is_flag else [word for value in values for word in (option, str(value))]
    return words
