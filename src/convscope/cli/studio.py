"""`convscope studio`: any network in the browser."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import click

from convscope.cli.given_options import given_options
from convscope.cli.option_groups import gathered, grouped
from convscope.cli.output import echo
from convscope.cli.own_code import code_options
from convscope.cli.worksheet import NAMES as WORKSHEET_NAMES
from convscope.cli.worksheet import WorksheetAsked, worksheet_options, write_worksheet
from convscope.errors import ConvscopeError

EXTRA = ("starlette", "uvicorn")
DEFAULT_PORT = 8421
EPILOG = (
    "Examples: convscope studio resnet18 --image photo.jpg; convscope studio runs/digits-lenet5; "
    "convscope studio --course course.html"
)
GROUPS = {
    "What the page may open": ("image", "input_text", "code", "trust_code", "runs", "data", "deadline"),
    "The server": ("port", "host", "i_know", "state", "no_browser"),
    "The course as a file, and exercises on paper": ("course_file", *WORKSHEET_NAMES),
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command("studio", epilog=EPILOG, cls=grouped(GROUPS))
@click.argument("model", required=False)
@click.option(
    "--image", default="", metavar="FILE", help="The image to begin with: a file, or digits/0 to digits/1796."
)
@click.option("--input", "input_text", default="", help="The input's shape, such as 3x224x224, if MODEL has none.")
@code_options
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
              help="The folder of the runs, which the page lists and adds to.")  # fmt: skip
@click.option("--data", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="ROOT",
              help="A folder below which image folders may be chosen for a training; repeatable.")  # fmt: skip
@click.option("--deadline", type=click.FloatRange(0.1, 86400), default=60.0, show_default=True, metavar="SECONDS",
              help="Stop a model of which one step takes longer than this.")  # fmt: skip
@click.option("--course", "course_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the course as one HTML file that needs no server; start none.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
              help="The port; if it is taken, the next free one. 0 takes any.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen to.")
@click.option("--i-know", is_flag=True, help="Let other machines reach the page, with --host; its link is a password.")
@click.option("--state", default="", metavar="LINK", help="Open this state: a link of the page, from its # on.")
@click.option("--no-browser", is_flag=True, help="Print the link, and open no browser.")
@worksheet_options
@gathered(paper=WorksheetAsked)
def command(
    model: str | None,
    image: str,
    input_text: str,
    code: str,
    trust_code: bool,
    runs: Path,
    data: tuple[Path, ...],
    deadline: float,
    course_file: Path | None,
    port: int,
    host: str,
    i_know: bool,
    state: str,
    no_browser: bool,
    paper: WorksheetAsked,
) -> None:
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
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise ConvscopeError(f"the studio needs {' and '.join(missing)}: pip install 'convscope[studio]'")
    if host not in _LOOPBACK and not i_know:
        raise click.UsageError(
            f"--host {host} lets other machines reach the page: add --i-know, or use ssh -L (see --help)"
        )
    of_model = (("--input", input_text), ("--model", code), ("--trust-code", trust_code))
    if model is None and (given := [name for name, is_there in of_model if is_there]):
        raise click.UsageError(f"{given[0]} is about MODEL: name one")
    if (code or trust_code) and not Path(str(model)).is_dir():
        raise click.UsageError(f"{model} is no run: --model and --trust-code are for a run of own code")
    if runs.exists() and not runs.is_dir():
        raise click.UsageError(f"--runs {runs} is a file: give a folder")
    from convscope.studio.models import Openable, require_openable
    from convscope.studio.server.launch import serve
    from convscope.studio.state import format_state, parse_state

    openable = Openable(
        runs=runs.absolute(),
        given=model or "",
        code=code,
        trust_code=trust_code,
        input_text=input_text,
        image=image,
        data=tuple(root.absolute() for root in data),
        deadline=deadline,
    )
    require_openable(openable)
    shown, notes = parse_state(state.partition("#")[2] or state)
    if notes:
        reason = re.sub(r": [^:]* is shown$", "", notes[0])  # the page shows something all the same
        raise click.UsageError(f"--state {state[:80]}: {reason}; give a link of the page, from its # on")
    fragment = format_state(shown) if state else ""
    serve(openable, host=host, port=port, open_browser=not no_browser, say=echo, fragment=fragment)
