"""Commands whose help sets their options in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click


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
