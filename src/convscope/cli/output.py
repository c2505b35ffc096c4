"""Print to the terminal with names escaped; stdout and stderr whose writes never fail.

A closed terminal, pipe or full disk does not end the work.

A failed write would otherwise raise wherever something is printed: by a bar, by the warnings module, by the flush of
Python's exit (which then exits 120). Here the lowest layer, the one that every print goes through, takes the error, and
the descriptor is pointed at the null device, so that what C libraries print goes there as well.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import ReadableBuffer

import click

from convscope.errors import ConvscopeError
from convscope.report.printable import is_unprintable, printable_lines


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a text of one or more lines; control and invisible characters in it are escaped."""
    click.echo(printable_lines(str(text)), err=err)


def echo_json(value: object) -> None:
    """Print a value as JSON, indented; its text is exact, with no control character, and readable where it can be."""
    import json

    # What another encoding lacks would be written as Python escapes it, which is no JSON.
    readable = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name.startswith("utf")
    text = json.dumps(value, indent=2, ensure_ascii=not readable)
    lines = (line if line.isprintable() else "".join(map(_in_json, line)) for line in text.split("\n"))
    click.echo("\n".join(lines))


def _in_json(character: str) -> str:
    import json

    return json.dumps(character)[1:-1] if is_unprintable(character) else character


def write_output(path: str | Path, content: str, *, parents: bool = False) -> None:
    """Write the file that an option names, and with `parents` the folders above it.

    Raises:
        ConvscopeError: it can't be written, or is a pipe that nothing reads.
    """
    from pathlib import Path

    from convscope.files.regular import UnreadableError, explain_os_error, write_text

    try:
        if parents:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_text(path, content)
    except (UnreadableError, OSError) as error:
        reason = explain_os_error(error) if isinstance(error, OSError) else error
        raise ConvscopeError(f"{path} can't be written: {reason}") from None


# What ASCII has for the characters of tables and notes, one for one so that columns stay aligned.
_ASCII = str.maketrans("×–—·→─│…", "x--.>-|~")


def _in_encoding(error: UnicodeError) -> tuple[str, int]:
    """Return what is written for characters that an encoding lacks, as that of locale C: one alike, or an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_ASCII)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error("convscope", _in_encoding)

STDIN, STDOUT, STDERR = 0, 1, 2
# The reader has closed its end: `| head` has seen enough.
READER_GONE = (errno.EPIPE, errno.ECONNRESET)


class Outlet(io.FileIO):
    """A file descriptor whose writes never fail; from the first failure on, they go to the null device.

    `error` is that first failure, None while there is none.

    >>> reading, writing = os.pipe()
    >>> os.close(reading)
    >>> outlet = Outlet(writing)
    >>> outlet.write(b"to no reader"), outlet.error.errno == errno.EPIPE, outlet.write(b"more")
    (12, True, 4)
    >>> os.close(writing)
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.error: OSError | None = None
        self.terminal = self.isatty()

    def write(self, content: ReadableBuffer, /) -> int:
        """Write some of the bytes, and return how many; all of them where the descriptor refuses."""
        while True:
            try:
                written: int | None = super().write(content)
            except OSError as error:
                self.error = self.error or error
                with suppress(OSError):
                    _point_at_null(self.fileno())
                return memoryview(content).nbytes
            if written is not None:
                return written
            # A descriptor that another program has set not to block, and that is full.
            select.select([], [self], [])

    @property
    def loss(self) -> OSError | None:
        """The failure that left a file incomplete; None where the reader, or the terminal, was gone instead."""
        gone = self.error is None or self.terminal or self.error.errno in READER_GONE
        return None if gone else self.error


def guard_output() -> Outlet | None:
    """Let writes to sys.stdout and sys.stderr never fail from now on, and return the outlet below stdout.

    A closed stream discards what is written. A stream that a test or a host program has set is not changed, and None is
    returned for it.
    """
    _open_closed()
    stdout, stderr = _outlet(sys.stdout, sys.__stdout__, STDOUT), _outlet(sys.stderr, sys.__stderr__, STDERR)
    if stdout is not None:
        sys.stdout = _text(stdout, sys.stdout)
    if stderr is not None:
        sys.stderr = _text(stderr, sys.stderr)
    if sys.stdin is None:
        sys.stdin = open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115
    return stdout


def finish_output(stdout: Outlet | None) -> OSError | None:
    """Flush both streams, and return the error that left stdout incomplete, if any."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return None if stdout is None else stdout.loss


def _open_closed() -> None:
    """Open the null device in the place of closed standard descriptors.

    The next file that is opened would take their numbers, and what a library prints would go into it.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            _point_at_null(descriptor)


def _point_at_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    os.set_inheritable(descriptor, True)


def _outlet(stream: TextIO | None, original: TextIO | None, descriptor: int) -> Outlet | None:
    """Return the outlet for the interpreter's own standard stream, or None for any other stream."""
    if stream is not original:
        return None
    if stream is not None:
        with suppress(OSError):
            stream.flush()
    return Outlet(descriptor)


def _text(outlet: Outlet, like: TextIO | None) -> TextIO:
    """Return a text stream to the outlet, with the encoding of the stream that it replaces."""
    shape = like if isinstance(like, io.TextIOWrapper) else None
    whole = shape is not None and codecs.lookup(shape.encoding).name == "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=shape.encoding if shape else "utf-8",
        # An encoding that lacks a character, as of locale C, is no reason to end.
        errors=shape.errors if shape and whole else "convscope",
        line_buffering=shape is None or shape.line_buffering or shape.write_through,
    )
