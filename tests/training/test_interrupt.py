"""Stopping: one wish that comes several times is one wish, and a second one stops at once."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from typing import Any

import pytest

from clocks import stop_clock
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent, StepProgress
from convscope.training.distributed import launch as distributed
from convscope.training.interrupt import handling_interrupts
from trainings import train_watched


def test_a_second_signal_stops_at_once_unless_it_is_the_first_wish_again() -> None:
    with handling_interrupts(lambda: None) as request:
        signal.raise_signal(signal.SIGTERM)
        assert request.exit_code == 143
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    notices = 0

    def count() -> None:
        nonlocal notices
        notices += 1

    with handling_interrupts(count, same_request=60) as request:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert request.exit_code == 143
    assert notices == 1
    with handling_interrupts(count, same_request=1e-9):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_closed_terminal_stops_as_sigterm_does_however_many_signals_it_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clock(monkeypatch)  # else a signal that is late on a busy machine would be a second one
    with handling_interrupts(lambda: None) as request:
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        assert request.exit_code == 143 and request.signal_number == signal.SIGTERM
    with handling_interrupts(lambda: None) as request:
        for number in (signal.SIGTERM, signal.SIGHUP):  # as the service that ends a session sends them
            signal.raise_signal(number)
        assert request.exit_code == 143


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_under_nohup_a_closed_terminal_changes_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handling_interrupts(lambda: None) as request:
            signal.raise_signal(signal.SIGHUP)
            assert not request
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_while_a_line_is_printed_does_not_print_into_it() -> None:
    lines: list[bytes] = []

    class Interrupted(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, content: Any) -> int:
            lines.append(bytes(content))
            if len(lines) == 1:
                signal.raise_signal(signal.SIGINT)
            return len(content)

    stream = io.TextIOWrapper(io.BufferedWriter(Interrupted()), line_buffering=True)
    with handling_interrupts(lambda: print("stopping", file=stream)) as request:
        print("an epoch", file=stream)
        assert request.exit_code == 130
    assert lines == [b"an epoch\n", b"stopping\n"]


class _TerminatedByEachThread(Silent):
    """What Linux does to a worker whose launcher was killed: a signal for each of the launcher's threads."""

    def stepped(self, step: StepProgress) -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)


def test_a_launched_process_that_is_told_several_times_writes_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "_end_with_parent", lambda: None)
    stop_clock(monkeypatch)
    of_torchrun = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in {**of_torchrun, "TORCHELASTIC_RUN_ID": "story"}.items():
        monkeypatch.setenv(name, value)
    recipe = Recipe(model="lenet5", epochs=2, threads=1, autotune="rules")
    outcome = train_watched("digits", recipe, runs_directory=tmp_path, listener=_TerminatedByEachThread())
    assert (outcome.ending, outcome.exit_code) == ("interrupted", 143)
    assert outcome.run.report.exists() and outcome.run.weights.exists()
