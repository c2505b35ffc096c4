"""Print to the terminal, and write the files that options name.

Names from files and users are escaped here, once, before they reach the terminal.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from convscope.errors import ConvscopeError
from convscope.files.regular import UnreadableError, explain_os_error, write_text
from convscope.report.printable import is_unprintable, printable_lines


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a text of one or more lines; control and invisible characters in it are escaped."""
    click.echo(printable_lines(str(text)), err=err)


def echo_json(value: object) -> None:
    """Print a value as JSON, indented; its text is readable, and exact, with no control character in it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    lines = (line if line.isprintable() else "".join(map(_in_json, line)) for line in text.split("\n"))
    click.echo("\n".join(lines))


def _in_json(character: str) -> str:
    return json.dumps(character)[1:-1] if is_unprintable(character) else character


def write_output(path: str | Path, content: str, *, parents: bool = False) -> None:
    """Write the file that an option names, and with `parents` the folders above it.

    Raises:
        ConvscopeError: it can't be written, or is a pipe that nothing reads.
    """
    try:
        if parents:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_text(path, content)
    except (UnreadableError, OSError) as error:
        reason = explain_os_error(error) if isinstance(error, OSError) else error
        raise ConvscopeError(f"{path} can't be written: {reason}") from None
