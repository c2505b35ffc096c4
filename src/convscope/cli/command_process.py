"""How a command was started: since when its time counts, and whether the process is its own."""

from __future__ import annotations

import time
from dataclasses import dataclass

import click


@dataclass(frozen=True, kw_only=True)
class CommandProcess:
    """The root context's `obj`.

    Args:
        began: when the command began, on the monotonic clock.
        own: whether the process is the command's own, so that it may fork; not so in tests, which call `main`.
    """

    began: float
    own: bool


def command_process() -> CommandProcess:
    """Return how the current command was started: by `main`, or now, where another program runs the group."""
    found = click.get_current_context().find_root().obj
    return found if isinstance(found, CommandProcess) else CommandProcess(began=time.monotonic(), own=False)
