"""`convscope notes`: every figure of the lecture notes beside the computed one, proved as it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from convscope.claims.claim import NOTES, VERDICTS
from convscope.cli.output import echo, echo_json

if TYPE_CHECKING:
    from convscope.claims.claim import NoteSet, Verdict

JSON_VERSION = 1
EXIT_NOT_PROVED = 1


@click.command("notes", epilog="Examples: convscope notes --wrong; convscope notes crops-of-256")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--wrong", is_flag=True, help="Claims with the verdict wrong.")
@click.option(
    "--verdict", "verdicts", type=click.Choice(tuple(VERDICTS)), multiple=True, help="Claims of this verdict."
)
@click.option("--from", "sets", type=click.Choice(tuple(NOTES)), multiple=True, help="Claims of this set of notes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    words: tuple[str, ...], wrong: bool, verdicts: tuple[str, ...], sets: tuple[str, ...], as_json: bool
) -> None:
    """Check the figures of the lecture notes, each against the one computed now.

    WORD is a claim's name, or a word of its text; of several all must match. With a filter each claim is shown in full.
    A proof that does not hold is listed, and the exit code is 1.
    """
    from convscope.claims.notes import notes
    from convscope.report.terminal import print_document

    kinds = cast("tuple[Verdict, ...]", (*verdicts, *(["wrong"] if wrong else [])))
    found = notes(*words, verdicts=kinds, sets=cast("tuple[NoteSet, ...]", sets))
    if as_json:
        echo_json({"version": JSON_VERSION, **found.to_dict()})
    else:
        print_document(found.document())
    if found.failed:
        echo(f"convscope: the verdict does not follow from what is computed: {', '.join(found.failed)}", err=True)
        click.get_current_context().exit(EXIT_NOT_PROVED)
