"""A recipe's settings as options: one source, so that the command line can't fall behind. No torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

import click

from convscope.cli.command import Command
from convscope.data.records import MEGAPIXELS, MOST_MEGAPIXELS
from convscope.errors import RunError, did_you_mean
from convscope.recipe.recipe import Recipe, choices, parse_setting, placeholder, settings
from convscope.recipe.recipe_file import load_recipe
from convscope.recipe.setting import AUTO, SettingValue
from convscope.report.usage import option_name

# The recipe to start from, an option of every command that trains.
from_recipe = click.option(
    "--recipe",
    "recipe_file",
    metavar="fast|classic|finetune|probe|FILE",
    help="The recipe to start from: a preset, or a TOML file  [fast]",
)
# The limit of a command that reads a run, which may be a stranger's: the run's own can only lower it.
limit_option = click.option(
    "--max-megapixels",
    type=click.IntRange(1, MOST_MEGAPIXELS),
    metavar="N",
    help=f"The largest image that is read; one takes some 16 MB a megapixel  [the run's, at most {MEGAPIXELS}]",
)
# The settings that say how a table is read.
OF_TABLES = ("image_column", "image_folder", "image_ending", "label_column", "label_separator")
# The settings that say how long a training is: what is given of them goes before what a file has.
LENGTHS = ("minutes", "epochs", "steps")
OF_GROUPS = ("group_column", "group_by")
_GIVEN = "convscope.settings"
_ALL_HELP = "convscope.all_help"


def recipe_options(*, without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Add an option for every setting of a recipe to a command; `given_settings` reads their values.

    The recipe that the others start from is the command's own option, for it may be a file: see `read_recipe`.
    """

    def add(command: Command) -> Command:
        for item in reversed(list(settings())):
            if item.name not in ("preset", *without):
                command = _option(item)(command)
        return click.option(
            "--help-all",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_all_help,
            help="Show this message with the advanced settings as well, and exit.",
        )(command)

    return add


class SettingOption(click.Option):
    """The option of one setting; of an advanced one the help is shown by `--help-all` alone."""

    def __init__(self, *args: Any, advanced: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.advanced = advanced

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help; None where this help leaves it out."""
        return None if self.advanced and not ctx.meta.get(_ALL_HELP) else super().get_help_record(ctx)


def _option(item: Field[Any]) -> Callable[[Command], Command]:
    """Return the option for one setting: a pair of switches, a choice of words, or a value."""
    name, words = option_name(item.name), choices(item.name)
    if isinstance(item.default, bool):
        help = str(item.metadata["help"])
        return click.option(
            f"{name}/--no-{name[2:]}",
            item.name,
            cls=SettingOption,
            advanced=item.metadata["advanced"],
            default=None,
            callback=_remember,
            expose_value=False,
            help=help,
        )
    default = "none" if item.default == "" else str(item.default)
    return click.option(
        name,
        item.name,
        cls=SettingOption,
        advanced=item.metadata["advanced"],
        type=click.Choice(words) if words else str,
        metavar=None if words else placeholder(item.name),
        callback=_remember,
        expose_value=False,
        help=f"{item.metadata['help']}  [{default}]",
    )


def given_settings(context: click.Context) -> dict[str, SettingValue]:
    """Return the settings given as options, parsed; raises RunError for an invalid value."""
    typed: dict[str, str | bool] = context.meta.get(_GIVEN, {})
    return {name: parse_setting(name, value) if isinstance(value, str) else value for name, value in typed.items()}


def recipe_for(name_or_file: str | None, given: Mapping[str, SettingValue], data: str | None) -> Recipe:
    """Return the recipe of that name or file, with the settings given as options, for the data given.

    The layout of a recipe that was written for other data is left at auto. Raises RunError.
    """
    recipe = read_recipe(name_or_file, str(given.get("model", "")))
    of_data: dict[str, SettingValue] = {} if data is None else {"data": data}
    if data is not None and recipe.data and Path(recipe.data).resolve() != Path(data).resolve():
        of_data["layout"] = AUTO
    return recipe.changed({**of_data, **length_at_auto(given), **given})


def length_at_auto(given: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """Return auto for the lengths of a recipe that one given beside it replaces: minutes, epochs or steps.

    >>> length_at_auto({"minutes": 5.0}), length_at_auto({"model": "lenet5"})
    ({'epochs': 'auto', 'steps': 'auto'}, {})
    """
    if not given.keys() & set(LENGTHS):
        return {}
    return {name: AUTO for name in LENGTHS if name not in given}


def read_recipe(name_or_file: str | None, model: str = "") -> Recipe:
    """Return the recipe of this name or TOML file, by default the default recipe; `model` is given beside it.

    Raises:
        RunError: there is none, or it names own code that was not given.
    """
    names = choices("preset")
    if name_or_file is None:
        return Recipe()
    if name_or_file in names:
        return Recipe.from_preset(name_or_file)
    path = Path(name_or_file)
    if path.suffix == "" and not path.exists():
        near = did_you_mean(name_or_file, names)
        raise RunError(f"there is no recipe {name_or_file!r}: it is {', '.join(names)}, or a file.{near}")
    return load_recipe(path, model=model)


def source_options(*names: str) -> Callable[[Command], Command]:
    """Add the settings of these names to a command that trains nothing, as arguments of its function."""

    def add(command: Command) -> Command:
        for item in reversed([item for item in settings() if item.name in names]):
            help = str(item.metadata["help"])
            command = click.option(
                option_name(item.name), item.name, default="", metavar=placeholder(item.name), help=f"{help}  [none]"
            )(command)
        return command

    return add


class RecipeCommand(click.Command):
    """A command whose help sets a recipe's options in groups, after the command's own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options: the command's own first, then each group of settings."""
        groups = {item.name: str(item.metadata["group"]) for item in settings()}
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                title = f"Recipe: {groups[parameter.name]}" if parameter.name in groups else "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _remember(context: click.Context, parameter: click.Parameter, value: str | bool | None) -> None:
    if value is not None and parameter.name is not None:
        context.meta.setdefault(_GIVEN, {})[parameter.name] = value


def _show_all_help(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        context.meta[_ALL_HELP] = True
        click.echo(context.get_help(), color=context.color)
        context.exit()
