"""Options in groups: under headings of a command's help, and as records that its function takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from typing import Any, cast

import click

from convscope.cli.command import Command


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Return a command with options, in their order in its help."""
    for option in reversed(options):
        command = option(command)
    return command


def grouped(groups: Mapping[str, Sequence[str]]) -> type[click.Command]:
    """Return the class of a command whose help shows its options under headings.

    Args:
        groups: the names of parameters by the heading of their options; the other options come last.
    """
    heading = {name: title for title, names in groups.items() for name in names}

    class GroupedCommand(click.Command):
        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            """Write the options, group by group."""
            sections: dict[str, list[tuple[str, str]]] = {title: [] for title in (*groups, "Other options")}
            for parameter in self.get_params(ctx):
                record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
                if record is not None:
                    sections[heading.get(parameter.name or "", "Other options")].append(record)
            for title, records in sections.items():
                if records:
                    with formatter.section(title):
                        formatter.write_dl(records)

    return GroupedCommand


def gathered(**records: type[Any]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command's function some options as one record each.

    Args:
        records: by the function's argument a dataclass, of which each field is an option of the same name.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def with_records(**given: Any) -> Any:
            for argument, kind in records.items():
                given[argument] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            return command(**given)

        return cast(Command, with_records)

    return add
