"""Bars on a terminal, and what is printed beside them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager

import click
import pytest

from convscope.report.progress import shown_progress
from convscope.runs.events import EpochRow
from convscope.runs.training_display import shown_training


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_head_that_is_solved_before_any_step_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    row = EpochRow(
        epoch=0,
        seconds=1.0,
        train_loss=0.5,
        train_accuracy=0.75,
        val_loss=None,
        val_accuracy=None,
        learning_rate=0.0,
        images_per_second=9.0,
        data_wait=0.0,
        best=True,
    )
    with shown_training() as listener:
        listener.epoch_ended(row)
    assert "75.0 %" in screen.getvalue()


@pytest.mark.parametrize("shown", [shown_progress, shown_training])
def test_what_is_printed_into_a_file_beside_a_bar_on_a_terminal_is_in_the_file(
    shown: Callable[[], AbstractContextManager[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, screen = io.StringIO(), Terminal()
    monkeypatch.setattr("sys.stdout", file)
    monkeypatch.setattr("sys.stderr", screen)
    with shown():
        click.echo("a.png,cat,0.9")
    assert file.getvalue() == "a.png,cat,0.9\n" and "cat" not in screen.getvalue()
