"""`convscope studio` as a page: what it may open, and the server behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click

from convscope.cli.command import Command
from convscope.cli.deadline import DEADLINE
from convscope.cli.option_groups import with_options
from convscope.cli.output import echo
from convscope.cli.own_code import code_options
from convscope.errors import ConvscopeError

EXTRA = ("starlette", "uvicorn")
DEFAULT_PORT = 8421
OPENED = ("image", "input_text", "code", "trust_code", "runs", "data", "deadline")
SERVED = ("port", "host", "i_know", "state", "no_browser")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class PageAsked:
    """The options of the page, as they are typed."""

    image: str
    input_text: str
    code: str
    trust_code: bool
    runs: Path
    data: tuple[Path, ...]
    deadline: float
    port: int
    host: str
    i_know: bool
    state: str
    no_browser: bool


def page_options(command: Command) -> Command:
    """Return a command with the options of the page."""
    return with_options(
        command,
        click.option(
            "--image", default="", metavar="FILE", help="The image to begin with: a file, or digits/0 to digits/1796."
        ),
        click.option("--input", "input_text", default="",
                     help="The input's shape, such as 3x224x224, if MODEL has none."),
        code_options,
        click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
                     help="The folder of the runs, which the page lists and adds to."),
        click.option("--data", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
                     metavar="ROOT",
                     help="A folder below which image folders may be chosen for a training; repeatable."),
        click.option("--deadline", type=DEADLINE, default=60.0, show_default=True,
                     metavar="SECONDS", help="Stop a model of which one step takes longer than this."),
        click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
                     help="The port; if it is taken, the next free one. 0 takes any."),
        click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen to."),
        click.option("--i-know", is_flag=True,
                     help="Let other machines reach the page, with --host; its link is a password."),
        click.option("--state", default="", metavar="LINK", help="Open this state: a link of the page, from its # on."),
        click.option("--no-browser", is_flag=True, help="Print the link, and open no browser."),
    )  # fmt: skip


def open_page(model: str | None, asked: PageAsked) -> None:
    """Serve the page on a model until it is ended.

    Args:
        model: as it is typed; None for the newest run, or else a built-in network.
        asked: the options.

    Raises:
        ConvscopeError: the extra is not installed, or the model, the image or the address can't be used.
        click.UsageError: options that do not go together, or a link that says something else.
    """
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise ConvscopeError(f"the studio needs {' and '.join(missing)}: pip install 'convscope[studio]'")
    _require_fitting(model, asked)
    from convscope.studio.models import Openable, require_openable
    from convscope.studio.server.launch import serve

    openable = Openable(
        runs=asked.runs.absolute(),
        given=model or "",
        code=asked.code,
        trust_code=asked.trust_code,
        input_text=asked.input_text,
        image=asked.image,
        data=tuple(root.absolute() for root in asked.data),
        deadline=asked.deadline,
    )
    require_openable(openable)
    serve(
        openable,
        host=asked.host,
        port=asked.port,
        open_browser=not asked.no_browser,
        say=echo,
        fragment=_fragment(asked.state),
    )


def _require_fitting(model: str | None, asked: PageAsked) -> None:
    """Refuse options that do not go together."""
    if asked.host not in _LOOPBACK and not asked.i_know:
        raise click.UsageError(
            f"--host {asked.host} lets other machines reach the page: add --i-know, or use ssh -L (see --help)"
        )
    of_model = (("--input", asked.input_text), ("--model", asked.code), ("--trust-code", asked.trust_code))
    if model is None and (given := [name for name, is_there in of_model if is_there]):
        raise click.UsageError(f"{given[0]} is about MODEL: name one")
    if (asked.code or asked.trust_code) and not Path(str(model)).is_dir():
        raise click.UsageError(f"{model} is no run: --model and --trust-code are for a run of own code")
    if asked.runs.exists() and not asked.runs.is_dir():
        raise click.UsageError(f"--runs {asked.runs} is a file: give a folder")


def _fragment(link: str) -> str:
    """Return the fragment of a link of the page, "" for none; a part of it that can't be shown is refused."""
    from convscope.studio.state import format_state, parse_state

    if not link:
        return ""
    shown, notes = parse_state(link.partition("#")[2] or link)
    if notes:
        reason = re.sub(r": [^:]* is shown$", "", notes[0])  # the page shows something all the same
        raise click.UsageError(f"--state {link[:80]}: {reason}; give a link of the page, from its # on")
    return format_state(shown)
