"""`convscope check`: a data set looked at before a training. No torch is imported until the work begins."""

from __future__ import annotations

from dataclasses import Field
from pathlib import Path
from typing import Any

import click

from convscope.cli.output import echo, echo_json, write_output
from convscope.cli.settings import RecipeCommand, given_settings, recipe_options
from convscope.files.writable import require_folder_of
from convscope.recipe.recipe import Recipe, settings
from convscope.report.progress import no_progress, shown_progress
from convscope.report.terminal import print_document

EXIT_WRONG = 1


def _is_of_images(item: Field[Any]) -> bool:
    """Return whether a setting says how images are read, and so what is found in them."""
    return item.metadata["group"] == "images" or item.name in ("image_size", "channels", "split_seed")


# What decides on the training alone, and what `--strict` and the argument say.
WITHOUT = (
    "data",
    "strict",
    "stream",
    "train_images",
    "normalization",
    "mean",
    "std",
    *(item.name for item in settings() if not _is_of_images(item)),
)


@click.command(
    "check", cls=RecipeCommand, epilog="Example: convscope check photos --near-duplicates --page photos.html"
)
@click.argument("data")
@click.option("--near-duplicates", is_flag=True, help="Find re-encoded, resized and mirrored copies too.")
@click.option("--label-errors", is_flag=True, help="Find likely label errors too: a small network is trained, minutes.")
@click.option("--page", metavar="FILE", type=click.Path(path_type=Path), help="Write an HTML page with contact sheets.")
@click.option("--strict", "exit_on_errors", is_flag=True, help="Exit 1 if there is an error among the findings.")
@click.option("--cache", metavar="FOLDER", help="Folder of the cache of decoded images.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@recipe_options(without=WITHOUT)
@click.pass_context
def command(
    context: click.Context,
    data: str,
    near_duplicates: bool,
    label_errors: bool,
    page: Path | None,
    exit_on_errors: bool,
    cache: str | None,
    as_json: bool,
) -> int:
    """Look at DATA as train would, and list what is likely wrong with it; nothing is trained.

    Errors, which count with --strict: what train refuses, images that can't be read, equal pictures in two splits or
    classes, and, where they are looked for, near-duplicates in two of the source's own splits or in two classes.
    Warnings are worth a look: few images of a class, blank pictures, likely label errors.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.experiments.check.check import check

    require_folder_of(page)
    recipe = Recipe().changed(given_settings(context))
    with shown_progress() as progress:
        found = check(
            data,
            recipe,
            near_duplicates=near_duplicates,
            label_errors=label_errors,
            cache_directory=cache,
            progress=no_progress if as_json else progress,
        )
    if page is not None:
        write_output(page, found.to_html())
        echo(f"wrote {page}", err=True)
    if as_json:
        echo_json(found.to_dict())
    else:
        print_document(found.document())
    return EXIT_WRONG if exit_on_errors and found.errors else 0
