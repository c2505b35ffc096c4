"""`convscope lr-find`: a learning-rate range test. No torch is imported until the work begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.given_options import typed_again
from convscope.cli.output import echo, write_output
from convscope.cli.own_code import trust_option, with_trusted
from convscope.cli.progress import training_progress
from convscope.cli.settings import RecipeCommand, from_recipe, given_settings, recipe_for, recipe_options
from convscope.files.writable import require_folder_of
from convscope.recipe.setting import SettingValue
from convscope.report.printable import shell_quote
from convscope.report.terminal import print_document
from convscope.report.usage import call_text

if TYPE_CHECKING:
    from convscope.experiments.learning_rate_range import LearningRateRangeTest

# What says how a rate moves over a run has no meaning in the test.
WITHOUT = ("data", "learning_rate", "minutes", "epochs", "steps", "schedule", "warmup", "patience")


@click.command("lr-find", cls=RecipeCommand)
@click.argument("data")
@from_recipe
@trust_option
@click.option("--steps", type=int, default=100, help="Steps from the lowest learning rate to the highest  [100]")
@click.option("--svg", metavar="FILE", type=click.Path(path_type=Path), help="Draw the loss over the learning rate.")
@click.option("--cache", metavar="FOLDER", help="Folder of the cache of decoded images.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@recipe_options(without=WITHOUT)
@click.pass_context
def command(
    context: click.Context,
    data: str,
    recipe_file: str | None,
    trust_code: bool,
    steps: int,
    svg: Path | None,
    cache: str | None,
    as_json: bool,
) -> None:
    """Train on DATA for 100 steps at growing learning rates, and propose one (Smith's range test).

    No run is written. The proposal is a tenth of the learning rate at which the loss was lowest.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.experiments.learning_rate_range import range_test

    require_folder_of(svg)
    given = given_settings(context)
    recipe = recipe_for(recipe_file, with_trusted(given, recipe_file, trust_code), data)
    with training_progress(quiet=as_json) as listener:
        test = range_test(
            recipe, steps=steps, listener=listener, cache_directory=None if cache is None else Path(cache)
        )
    if svg is not None:
        write_output(svg, test.svg)
        echo(f"wrote {svg}", err=True)
    if as_json:
        click.echo(json.dumps(test.to_dict(), indent=2))
        return
    print_document(test.document())
    if test.proposed is not None:
        echo(f"to train with it: {_command(test, data, recipe_file, given)}")


def _command(test: LearningRateRangeTest, data: str, recipe_file: str | None, given: Mapping[str, SettingValue]) -> str:
    """Return the training command with the proposed learning rate."""
    recipe = {"recipe": recipe_file} if recipe_file else {}
    call = call_text("train", data, **recipe, **{**given, "learning_rate": float(f"{test.proposed:g}")})
    return " ".join(filter(None, (call, shell_quote(*typed_again(only=("trust_code", "cache"))))))
