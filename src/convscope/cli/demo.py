"""`convscope demo`: train LeNet-5 on the built-in digits, and open the report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from convscope.cli.command_process import command_process
from convscope.cli.output import echo
from convscope.cli.progress import log_lines, training_progress
from convscope.report.usage import call_text


@click.command("demo")
@click.option("--open/--no-open", "open_page", default=None, help="Show the report in a browser  [on a desktop]")
@click.option("--runs", "runs_directory", metavar="FOLDER", default="runs", help="Folder of run directories  [runs]")
def command(open_page: bool | None, runs_directory: str) -> int:
    """Train LeNet-5 (1998) on the 1,797 built-in handwritten digits, and show the result."""
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.training.demo import train_demo

    with training_progress() as listener:
        outcome = train_demo(listener=listener, runs_directory=Path(runs_directory), began=command_process().began)
    lines = outcome.lines()
    log_lines(outcome.run, lines)
    for line in lines:
        echo(line)
    if outcome.exit_code:
        return outcome.exit_code
    echo("\nNext:")
    for line, what in (
        (call_text("evaluate", outcome.run), "how good it is, class by class"),
        ("convscope inspect lenet5", "every layer's size, weights, operations and receptive field"),
        ("convscope train FOLDER", "your own images: a folder for each class"),
    ):
        echo(f"  {line:<36} {what}")
    if open_page if open_page is not None else on_a_desktop():
        click.launch(str(outcome.run.report.resolve()))
    return 0


def on_a_desktop() -> bool:
    """Return whether the session is an interactive desktop: false in CI, in a pipe and over SSH."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()) or {"CI", "SSH_CONNECTION"} & os.environ.keys():
        return False
    return sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
