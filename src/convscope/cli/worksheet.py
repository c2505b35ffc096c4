"""`convscope studio --worksheet`: exercises on paper, as one page of HTML; no server is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from convscope.cli.command import Command
from convscope.cli.given_options import take_only
from convscope.cli.option_groups import with_options
from convscope.cli.output import echo, write_output
from convscope.errors import ConvscopeError
from convscope.files.writable import require_folder_of
from convscope.report.units import plural

FILE = Path("worksheet.html")
NAMES = ("worksheet", "seed", "copies", "answers", "html_path")


@dataclass(frozen=True, slots=True)
class WorksheetAsked:
    """The options of a worksheet."""

    worksheet: str | None
    seed: int | None
    copies: int
    answers: bool
    html_path: Path | None


def worksheet_options(command: Command) -> Command:
    """Return a command with the options of a worksheet."""
    return with_options(
        command,
        click.option("--worksheet", metavar="CHAPTERS",
                     help="Write exercises for paper, such as 3,4,6 or 3a,quiz-flip; starts no server."),
        click.option("--seed", type=int, help="Draw these numbers; new ones unless given."),
        click.option("--copies", type=click.IntRange(1, 1000), default=1, show_default=True,
                     help="Copies, each with other numbers."),
        click.option("--answers", is_flag=True, help="Answers with worked steps, on pages of their own at the end."),
        click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path),
                     help=f"Write this page; {FILE} unless given, and then never over a file."),
    )  # fmt: skip


def write_worksheet(asked: WorksheetAsked) -> None:
    """Write the page of a worksheet, and say where.

    Raises:
        ConvscopeError: there is no such chapter or exercise, or the file can't be written or is there already.
    """
    from convscope.exercises.worksheet import worksheet

    take_only("--worksheet starts no server", NAMES)
    path = asked.html_path or FILE
    if asked.html_path is None and path.exists():
        raise ConvscopeError(f"{path} is there already: name the page with --html, which replaces it")
    require_folder_of(path)
    words = [part.strip() for part in (asked.worksheet or "").split(",")]
    sheet = worksheet([part for part in words if part], seed=asked.seed, copies=asked.copies)
    write_output(path, sheet.page(answers=asked.answers))
    exercises = len(sheet.copies[0])
    in_copies = plural(asked.copies, "copy", "copies")
    echo(f"wrote {path}: {plural(exercises, 'exercise')}, {in_copies}, seed {sheet.seed}")
