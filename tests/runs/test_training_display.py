"""Bars on a terminal, and what is printed beside them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager

import click
import pytest

from convscope.report.progress import shown_progress
from convscope.runs.events import EpochRow
from convscope.runs.training_display import _Notebook, shown_training


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def epoch(number: int) -> EpochRow:
    return EpochRow(
        epoch=number,
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


def test_a_head_that_is_solved_before_any_step_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with shown_training() as listener:
        listener.epoch_ended(epoch(0))
    assert "75.0 %" in screen.getvalue()


def test_a_notebook_has_the_epochs_of_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.report.notebook.NotebookBars.draw", lambda bars: None)
    notebook = _Notebook()
    for numbers in ((0, 1, 2), (1, 2, 3), (0,), (0,)):
        for number in numbers:
            notebook.epoch_ended(epoch(number))
        lines = notebook._bars.below.partition(">")[2].splitlines()
        assert [line.split()[0] for line in lines] == ["epoch", *map(str, numbers)]


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
