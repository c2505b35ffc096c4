"""Run a user's model: one that never ends, or ends the process, is one line; what it prints goes to stderr.

The limit is enforced twice. An alarm raises an exception where the model runs. Code that catches it, or does not return
to Python, is ended from outside: the command forks before torch is imported, the child does the work, and the parent
ends it. So much is possible in a process of the command's own, where the system can fork; functions called from Python
set no limit.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, cast

import click

from convscope.cli.command import Command
from convscope.cli.command_process import command_process
from convscope.cli.output import STDERR, STDOUT
from convscope.errors import CaptureError
from convscope.report.printable import printable

SECONDS = 60.0
GRACE = 2.0  # seconds that a child has to end by itself
_AGAIN = 0.5  # seconds after which the alarm is raised anew, should the model have caught it
_POLL = 0.2  # seconds between two looks at a child whose children hold its end of the pipe
EXIT_USER_ERROR, EXIT_INTERRUPTED = 2, 130
_PIPE_CLOSED = 76  # exit code of a child whose model has closed the pipe to its parent
_PARENT_DEATH_SIGNAL, _ADOPT_ORPHANS = 1, 36  # Linux's prctl
_HIGH = 200  # descriptors from here on are the command's own; a model that closes "all" mostly closes the low ones
_EDGE = (__file__, contextlib.__file__)  # code that runs as the limit is set and lifted

_to_parent: list[int] = []  # the pipe to the process that watches this one, if one does


class _SecondsRange(click.FloatRange):
    """A number of seconds, of which click's own range has NaN too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fail where it is out of range, or none."""
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return found


DEADLINE = _SecondsRange(0.1, 86400)


class _ExpiredError(BaseException):
    """The time is over; no model catches it by `except Exception`."""


class _InterruptedError(KeyboardInterrupt):
    """The user's own interrupt, which no model raises."""


def with_deadline(command: Command) -> Command:
    """Add the option `--deadline`; where the command runs a user's code, let a process of its own do the work."""

    @wraps(command)
    def limited(*_: Any, **given: Any) -> Any:
        names = given.get("models") or (given.get("model") or "", *given.get("against", ()))
        runs_code = (
            given["code"] or given["trust_code"] or any(":" in name or ".onnx" in name.lower() for name in names)
        )
        if runs_code and command_process().own and hasattr(os, "fork"):
            code = _in_child()
            if code is not None:
                raise click.exceptions.Exit(code)
        return command(**given)

    option = click.option(
        "--deadline", type=DEADLINE, default=SECONDS, show_default=True, metavar="SECONDS",
        help="Stop a model that takes longer than this.",
    )  # fmt: skip
    return cast(Command, option(limited))


@contextmanager
def within(seconds: float, name: str) -> Iterator[None]:
    """Stop what runs inside after `seconds`, and send what it prints to stderr: stdout is the command's own.

    Raises:
        CaptureError: the time is over; or the model raised what is no Exception.
    """
    process = os.getpid()
    _tell({"name": name, "seconds": seconds})
    try:
        with redirect_stdout(sys.stderr), _descriptor_redirected(), _alarmed(seconds):
            yield
    except _ExpiredError:
        raise CaptureError(_too_long(name, seconds)) from None
    except (_InterruptedError, Exception, SystemExit):
        raise
    except BaseException as problem:
        raise CaptureError(f"{name} raised {type(problem).__name__}") from problem
    finally:
        if os.getpid() != process:
            os._exit(0)  # the model forked, and the command's work is the other process's
        if not _tell({"name": ""}) and _to_parent:
            os._exit(_PIPE_CLOSED)  # what follows would have no limit, and its end would look like the model's


def tell_end(code: int) -> bool:
    """Tell the process that watches this one, if any, that only the exit is left to do; return whether one does."""
    watched = _tell({"code": code})
    if watched and "multiprocessing.process" in sys.modules:
        for left in sys.modules["multiprocessing.process"].active_children():
            left.kill()
    return watched


def tell_interrupted() -> None:
    """Tell the process that watches this one, if any, that the user's interrupt was taken: no second one is sent."""
    _tell({"interrupted": True})


def _too_long(name: str, seconds: float) -> str:
    return f"{name} takes more than {seconds:g} s: it may never end; --deadline allows more"


@contextmanager
def _alarmed(seconds: float) -> Iterator[None]:
    """Raise an exception inside after `seconds`, and again; none where the system has no such alarm."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(number: int, frame: FrameType | None) -> None:
        if frame is None or frame.f_code.co_filename not in _EDGE:  # else the model has just ended
            raise _ExpiredError

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _InterruptedError

    handlers = {signal.SIGALRM: expire}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handlers[signal.SIGINT] = interrupt
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _descriptor_redirected() -> Iterator[None]:
    """Send what C code and other programs print to stderr too, where the process is the command's own."""
    if not _to_parent:
        yield
        return
    stdout = _out_of_the_way(os.dup(STDOUT))
    os.dup2(STDERR, STDOUT)
    try:
        yield
    finally:
        with suppress(OSError):  # the model has closed it
            os.dup2(stdout, STDOUT)
            os.close(stdout)


def _out_of_the_way(descriptor: int) -> int:
    """Return the descriptor moved to a high number and close the given one; the given one where the limit is lower."""
    import fcntl  # there is none where a process can't fork

    with suppress(OSError):
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        os.close(descriptor)
        return high
    return descriptor


def _tell(message: dict[str, Any]) -> bool:
    """Write a message to the process that watches this one; return False where there is none, or no way to it."""
    with suppress(OSError, IndexError):
        os.write(_to_parent[0], json.dumps(message).encode() + b"\n")
        return True
    return False


def _in_child() -> int | None:
    """Fork. Return None in the child, which goes on, and in the parent the child's exit code, once it has ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _to_parent[:] = [_out_of_the_way(writing)]
        _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)  # a parent that is killed can pass nothing on
        return None
    os.close(writing)
    _prctl(_ADOPT_ORPHANS, 1)
    watch = _Watch(child, reading)
    with watch.signals_passed_on():
        try:
            return watch.wait()
        finally:
            _end_orphans()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value)


def _end_orphans() -> None:
    """End the processes that the model has left, on Linux; they would hold the command's pipes open."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with suppress(OSError):  # no such file, or nothing is left to wait for
        while left := [int(number) for number in children.read_text().split()]:
            for process in left:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)


class _Watch:
    """What a parent knows of its child: the model that it runs, until when, and the exit code that it has told."""

    def __init__(self, child: int, pipe: int) -> None:
        self.child = child
        self.pipe = pipe
        self.name = ""
        self.seconds = 0.0
        self.until: float | None = None
        self.code: int | None = None
        self.interrupts: list[float] = []
        self.taken = False  # whether the child has said that it was interrupted

    def wait(self) -> int:
        """Return the exit code of the command, once its child has ended or is ended."""
        while True:
            self._listen()
            ended, status = os.waitpid(self.child, os.WNOHANG)
            if ended:
                return self._code_of(os.waitstatus_to_exitcode(status))
            if self.until is not None and time.monotonic() > self.until:
                os.kill(self.child, signal.SIGKILL)
                os.waitpid(self.child, 0)
                return _said(_too_long(self.name, self.seconds)) if self.code is None else self.code
            alone = len(self.interrupts) == 1 and not self.taken
            if alone and self.code is None and time.monotonic() > self.interrupts[0] + _AGAIN:
                # A terminal interrupts both; `kill` this process alone.
                self.interrupts.insert(0, 0.0)
                os.kill(self.child, signal.SIGINT)

    def _listen(self) -> None:
        if self.pipe < 0:
            time.sleep(_POLL / 20)
        elif select.select([self.pipe], [], [], _POLL)[0]:
            content = os.read(self.pipe, 65536)  # a message is written whole, and is shorter
            for line in content.splitlines():
                with suppress(ValueError, AttributeError, TypeError):  # the model wrote to the pipe
                    self._hear(json.loads(line))
            if not content:
                os.close(self.pipe)
                self.pipe = -1

    def _hear(self, message: dict[str, Any]) -> None:
        self.taken = self.taken or bool(message.get("interrupted"))
        if self.code is None:
            self.code = message.get("code")
        self.name, self.seconds = message.get("name", ""), message.get("seconds", 0.0)
        limited = self.code is not None or self.name
        self.until = time.monotonic() + self.seconds + GRACE if limited else None

    def _code_of(self, code: int) -> int:
        if self.code is not None:
            return self.code
        if self.interrupts and code == -signal.SIGKILL:
            click.echo("convscope: interrupted", err=True)
            return EXIT_INTERRUPTED
        if code < 0:
            cause = ": memory may be short" if code == -signal.SIGKILL else ""
            return _said(f"{self.name or 'the command'} was ended by {signal.Signals(-code).name}{cause}")
        if code == _PIPE_CLOSED:
            return _said(f"{self.name} closes files that it did not open: convscope needs them")
        return _said(f"{self.name} ended the process (exit {code})") if self.name else code

    @contextmanager
    def signals_passed_on(self) -> Iterator[None]:
        """Pass on what ends a process; a second interrupt of the user ends a child that caught the first."""

        def pass_on(number: int, frame: FrameType | None) -> None:
            if number != signal.SIGINT:
                self.code, self.until = 128 + signal.SIGTERM, time.monotonic() + GRACE
                os.kill(self.child, number)
                return
            if self.interrupts:
                os.kill(self.child, signal.SIGKILL)
            self.interrupts.append(time.monotonic())

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        taken = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, pass_on) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _said(line: str) -> int:
    click.echo(f"convscope: {printable(line)}", err=True)
    return EXIT_USER_ERROR
