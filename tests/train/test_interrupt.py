"""Stopping: one wish that comes several times is one wish, and a second one stops at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from convscope.train import train
from convscope.train.events import Silent, Step
from convscope.train.interrupt import heeding_interrupts
from convscope.train.settings.recipe import Recipe
from convscope.train.team import distributed


def test_a_second_signal_stops_at_once_unless_it_is_the_first_wish_again() -> None:
    with heeding_interrupts(lambda: None) as request:
        signal.raise_signal(signal.SIGTERM)
        assert request.exit_code == 143
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    told = 0

    def count() -> None:
        nonlocal told
        told += 1

    with heeding_interrupts(count, one_wish=60) as request:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert request.exit_code == 143 and told == 1
    with heeding_interrupts(count, one_wish=1e-9):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


class _TerminatedByEachThread(Silent):
    """What Linux does to a worker whose launcher was killed: a signal for each of the launcher's threads."""

    def stepped(self, step: Step) -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)


def test_a_launched_process_that_is_told_several_times_writes_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "_end_with_parent", lambda: None)
    of_torchrun = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in {**of_torchrun, "TORCHELASTIC_RUN_ID": "story"}.items():
        monkeypatch.setenv(name, value)
    recipe = Recipe(model="lenet5", epochs=2, threads=1, plan="rules")
    outcome = train("digits", recipe, runs_directory=tmp_path, listener=_TerminatedByEachThread())
    assert (outcome.ending, outcome.exit_code) == ("stopped", 143)
    assert outcome.run.report.exists() and outcome.run.weights.exists()
