"""`convscope exercise`: one exercise with fresh numbers: it asks, reads the answer in any spelling, and marks it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from convscope.cli.given_options import take_only
from convscope.cli.output import echo, echo_json
from convscope.exercises.texts import word

if TYPE_CHECKING:
    from convscope.exercises.mastery import Standing
    from convscope.exercises.record import Exercise, Marked

JSON_VERSION = 1
EXIT_WRONG = 1
TRIES = 3


@click.command(
    "exercise", epilog="Examples: convscope exercise; convscope exercise 3a --seed 42; convscope exercise --list"
)
@click.argument("name", required=False)
@click.option("--seed", type=int, help="Draw these numbers; new ones unless given.")
@click.option("--answer", metavar="TEXT", help="Mark this answer instead of asking.")
@click.option("--show", is_flag=True, help="Show the worked steps and the answer.")
@click.option("--list", "as_list", is_flag=True, help="List the exercises.")
@click.option("--progress", is_flag=True, help="Show which exercises you have mastered.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    name: str | None, seed: int | None, answer: str | None, show: bool, as_list: bool, progress: bool, as_json: bool
) -> None:
    """Ask an exercise on convolutional networks, and mark the answer.

    NAME is an exercise, such as 3a; without it the next one that you have not mastered is asked. On a terminal the
    answer is asked for, three times at most; elsewhere give --answer. Three draws in a row, each answered within three
    tries, a multiple-choice question at the first, master an exercise; this is kept in your data folder and never sent
    anywhere. The exit code is 0 for a right answer, 1 for a wrong one, 2 for one that can't be read.
    """
    if as_list:
        take_only("--list shows all exercises", ("as_list", "as_json"))
        _print_list(as_json)
        return
    if progress:
        take_only("--progress shows all exercises", ("progress", "as_json"))
        _print_mastery(as_json)
        return
    if name is None:
        if seed is not None or answer is not None or show:
            raise click.UsageError("give an exercise, such as 3a, or --list for all of them")
        name = _following()
        if name is None:
            _print_all_mastered(as_json)
            return
    if show and answer is not None:
        raise click.UsageError("--show shows the answer: leave --answer out")
    from convscope.exercises.exercise import exercise
    from convscope.report.terminal import print_document

    asked = exercise(name, seed=seed)
    if answer is not None:
        marked = asked.mark(answer)
        if as_json:
            echo_json({"version": JSON_VERSION, **marked.to_dict()})
        else:
            _print_lines(marked)
        if not marked.right:
            click.get_current_context().exit(EXIT_WRONG)
    elif as_json:
        echo_json({"version": JSON_VERSION, **(asked.to_dict() if show else asked.question())})
    else:
        print_document(asked.solution() if show else asked.document())
        if show and sys.stdin.isatty():
            _keep(asked, right=False)
        elif sys.stdin.isatty():
            _ask(asked)
        elif not show:
            _print_commands(asked)


def _ask(asked: Exercise) -> None:
    """Ask until the answer is right, three times at most; then show the steps, and exit with 1."""
    from convscope.exercises.mastery import NEEDED
    from convscope.report.terminal import print_document

    for left in reversed(range(TRIES)):
        marked = _read(asked)
        _print_lines(marked)
        if marked.right:
            # By elimination three tries find most choices.
            standing = _keep(asked, right=asked.kind != "choice" or left == TRIES - 1)
            if standing.mastered:
                echo(word("now-mastered", name=asked.name, command="convscope exercise"))
            else:
                echo(word("in-a-row", count=standing.in_a_row, needed=NEEDED) + ".")
            echo(word("fresh", command=f"convscope exercise {asked.name}"))
            return
        if left:
            echo(word("again", left=left))
    _keep(asked, right=False)
    echo(word("shown"))
    print_document(asked.solution())
    echo(word("fresh", command=f"convscope exercise {asked.name}"))
    click.get_current_context().exit(EXIT_WRONG)


def _read(asked: Exercise) -> Marked:
    """Return the mark of the next answer; one that can't be read is asked for again and is no try."""
    from convscope.exercises.number_text import AnswerError

    while True:
        text = click.prompt(word("prompt"), default="", show_default=False, type=str)
        try:
            return asked.mark(text)
        except AnswerError as error:
            echo(error)
            if error.suggestion and click.confirm(word("mean", suggestion=error.suggestion), default=False):
                return asked.mark(error.suggestion)


def _keep(asked: Exercise, *, right: bool) -> Standing:
    """Keep the end of a draw, answered within the tries that count or not, in the user's data folder."""
    from convscope.cli.exercise_mastery import MasteryFile

    return MasteryFile().keep(asked.name, asked.seed, right=right)


def _following() -> str | None:
    """Return the next exercise that is not mastered; None where all are."""
    from convscope.cli.exercise_mastery import MasteryFile

    return MasteryFile().mastery.following()


def _print_all_mastered(as_json: bool) -> None:
    if as_json:
        echo_json({"version": JSON_VERSION, "exercise": None})
    else:
        echo(word("all-mastered"))


def _print_mastery(as_json: bool) -> None:
    from convscope.cli.exercise_mastery import MasteryFile
    from convscope.report.terminal import print_document

    mastery = MasteryFile().mastery
    if as_json:
        echo_json({"version": JSON_VERSION, **mastery.to_dict()})
    else:
        print_document(mastery.document())


def _print_lines(marked: Marked) -> None:
    for line in marked.lines:
        echo(line)


def _print_commands(asked: Exercise) -> None:
    """Print how the same numbers are answered and shown, where nothing can be asked."""
    same = f"convscope exercise {asked.name} --seed {asked.seed}"
    echo(f"\n{same} --answer TEXT\n{same} --show")


def _print_list(as_json: bool) -> None:
    from convscope.exercises.registry import listing
    from convscope.report.table import Column, Row, Table, print_table

    found = listing()
    if as_json:
        echo_json({"version": JSON_VERSION, "exercises": [one._asdict() for one in found]})
        return
    rows, group = [], ""
    for one in found:
        if one.group != group:
            group = one.group
            rows.append(Row((group, ""), "group"))
        rows.append(Row((one.name, one.title)))
    print_table(Table((Column("exercise"), Column("asks for")), tuple(rows)))
