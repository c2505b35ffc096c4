"""`convscope notes`: every figure of the lecture notes beside the computed one, proved as it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from convscope.claims.claim import NOTES, VERDICTS
from convscope.cli.output import echo, echo_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convscope.claims.claim import Proof, Verdict

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
    from convscope.claims.sets import select

    kinds = cast("tuple[Verdict, ...]", (*verdicts, *(["wrong"] if wrong else [])))
    proofs = [claim.prove() for claim in select(words, notes=sets, verdicts=kinds)]
    if as_json:
        _print_json(proofs)
    else:
        _print(proofs, in_full=bool(words or kinds or sets))
    failed = [proof.claim.id for proof in proofs if not proof.holds]
    if failed:
        echo(f"convscope: the verdict does not follow from what is computed: {', '.join(failed)}", err=True)
        click.get_current_context().exit(EXIT_NOT_PROVED)


def _print(proofs: Sequence[Proof], *, in_full: bool) -> None:
    from convscope.claims.text import proof_lines, proof_table, summary
    from convscope.report.table import print_table

    if not in_full:
        print_table(proof_table(proofs))
        echo()
    else:
        for proof in proofs:
            click.echo(click.style(f"{proof.claim.id}: {proof.claim.verdict}", bold=True))
            for name, text in proof_lines(proof):
                echo(f"  {name:<10}{text}")
            echo()
    echo(summary(proofs))


def _print_json(proofs: Sequence[Proof]) -> None:
    from convscope.claims.text import proof_dict

    echo_json({"version": JSON_VERSION, "claims": [proof_dict(proof) for proof in proofs]})
