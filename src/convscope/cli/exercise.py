"""`convscope exercise`: one exercise with fresh numbers: it asks, reads the answer in any spelling, and marks it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from convscope.cli.output import echo, echo_json

if TYPE_CHECKING:
    from convscope.exercises.record import Exercise, Marked

JSON_VERSION = 1
EXIT_WRONG = 1
TRIES = 3


@click.command("exercise", epilog="Examples: convscope exercise 3a --seed 42; convscope exercise --list")
@click.argument("name", required=False)
@click.option("--seed", type=int, help="Draw these numbers; new ones unless given.")
@click.option("--answer", metavar="TEXT", help="Mark this answer instead of asking.")
@click.option("--show", is_flag=True, help="Show the worked steps and the answer.")
@click.option("--list", "as_list", is_flag=True, help="List the exercises.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, seed: int | None, answer: str | None, show: bool, as_list: bool, as_json: bool) -> None:
    """Ask an exercise on convolutional networks, and mark the answer.

    NAME is an exercise, such as 3a. On a terminal the answer is asked for, three times at most; elsewhere give
    --answer. The exit code is 0 for a right answer, 1 for a wrong one, 2 for one that can't be read.
    """
    if as_list:
        if name is not None or answer is not None or show or seed is not None:
            raise click.UsageError("--list shows all exercises: leave the others out")
        _print_list(as_json)
        return
    if name is None:
        raise click.UsageError("give an exercise, such as 3a, or --list for all of them")
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
        if not show and sys.stdin.isatty():
            _ask(asked)
        elif not show:
            _print_commands(asked)


def _ask(asked: Exercise) -> None:
    """Ask until the answer is right, three times at most; then show the steps, and exit with 1."""
    from convscope.exercises.texts import word
    from convscope.report.terminal import print_document

    for left in reversed(range(TRIES)):
        marked = _read(asked)
        _print_lines(marked)
        if marked.right:
            echo(word("fresh", command=f"convscope exercise {asked.name}"))
            return
        if left:
            echo(word("again", left=left))
    echo(word("shown"))
    print_document(asked.solution())
    echo(word("fresh", command=f"convscope exercise {asked.name}"))
    click.get_current_context().exit(EXIT_WRONG)


def _read(asked: Exercise) -> Marked:
    """Return the mark of the next answer; one that can't be read is asked for again and is no try."""
    from convscope.exercises.number_text import AnswerError
    from convscope.exercises.texts import word

    while True:
        text = click.prompt(word("prompt"), default="", show_default=False, type=str)
        try:
            return asked.mark(text)
        except AnswerError as error:
            echo(error)
            if error.suggestion and click.confirm(word("mean", suggestion=error.suggestion), default=False):
                return asked.mark(error.suggestion)


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
