"""`convscope studio`: any network in the browser; the course as a file; exercises on paper."""

from __future__ import annotations

from pathlib import Path

import click

from convscope.cli.given_options import given_options
from convscope.cli.option_groups import gathered, grouped
from convscope.cli.studio_page import OPENED, SERVED, PageAsked, open_page, page_options
from convscope.cli.worksheet import NAMES as WORKSHEET_NAMES
from convscope.cli.worksheet import WorksheetAsked, worksheet_options, write_worksheet

EPILOG = (
    "Examples: convscope studio resnet18 --image photo.jpg; convscope studio runs/digits-lenet5; "
    "convscope studio --course course.html"
)
GROUPS = {
    "What the page may open": OPENED,
    "The server": SERVED,
    "The course as a file, and exercises on paper": ("course_file", *WORKSHEET_NAMES),
}


@click.command("studio", epilog=EPILOG, cls=grouped(GROUPS))
@click.argument("model", required=False)
@page_options
@click.option("--course", "course_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the course as one HTML file that needs no server; start none.")  # fmt: skip
@worksheet_options
@gathered(page=PageAsked, paper=WorksheetAsked)
def command(model: str | None, page: PageAsked, course_file: Path | None, paper: WorksheetAsked) -> None:
    """Open a local page on MODEL: its layers, feature maps, fields and worked numbers; train and compare runs.

    MODEL is a run, a checkpoint in it (RUN/checkpoint/step-N), a built-in trained network (tinyvgg-shapes,
    lenet5-digits), a name from `convscope models`, file.py:factory, package.module:factory, model.onnx, or
    timm/NAME; without it the page begins with the newest run, or else a built-in network. Its room Learn is a
    course in short chapters: --state '#/learn' opens it, --state '#/learn/3a?seed=42' one exercise with the same
    numbers for all. The page answers to this machine alone, and to the browser that opened the printed link. From
    another machine: `ssh -L 8421:127.0.0.1:8421 THIS-MACHINE`, then open the link there. Ctrl-C ends it; trainings
    that it started go on. With --course or --worksheet a file is written, and no server started.
    """
    if course_file is not None and paper.worksheet is not None:
        raise click.UsageError("--course and --worksheet write two files: give one of them")
    if course_file is not None:
        from convscope.cli.static_course import write_course

        write_course(course_file)
        return
    if paper.worksheet is not None:
        write_worksheet(paper)
        return
    for option in given_options():
        if option.name in WORKSHEET_NAMES:
            raise click.UsageError(f"{option.opts[0]} is about a worksheet: add --worksheet")
    open_page(model, page)
