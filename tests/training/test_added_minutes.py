"""Minutes that are added to a run: a head that is solved already takes none of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clocks import stop_clock
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.runs.run_directory import Run
from convscope.training import added_minutes
from convscope.training.added_minutes import add_minutes
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.job import Job
from convscope.training.loop.state import Best
from convscope.training.opening import Opening
from convscope.training.session import prepare
from convscope.training.timing.costs import Costs


def test_features_that_were_computed_take_no_time_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(data="digits", model="lenet5", epochs=3, autotune="rules", threads=1)
    session = prepare(recipe, Opening(listener=Silent(), autotune=False))
    session = replace(session, resolved=session.resolved.changed(head="solve"))
    job = Job.of(Run(tmp_path), session, session.network()[0], Silent(), ProcessGroup())
    costs = Costs(before=100.0, steps=((1.0, 0.1),), epoch_end=0.1, finish=1.0)
    monkeypatch.setattr(added_minutes, "costs_here", lambda *given: costs)
    began = stop_clock(monkeypatch).now
    with pytest.raises(
        RunError, match=r"the start took 0\.0 s, one more step, the test and the report take 1 min 41 s"
    ):
        add_minutes(job, 1.0, began=began)
    job.state.best = Best(epoch=0, accuracy=0.5, loss=1.0, weights={})
    add_minutes(job, 1.0, began=began)
    assert 500 < job.plan.steps < 600
