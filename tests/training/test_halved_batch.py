"""A batch that the memory refuses within a time budget: half of it has as many epochs, of twice the steps."""

from __future__ import annotations

import time
from pathlib import Path

from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.runs.events import Silent
from convscope.runs.run_directory import Run
from convscope.training import fit_job
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.job import Job
from convscope.training.opening import Opening
from convscope.training.session import prepare


def test_as_many_epochs_are_allowed_as_before(tmp_path: Path) -> None:
    recipe = Recipe(data="digits", model="lenet5", minutes=5, batch_size=64, autotune="rules", threads=1)
    session = prepare(recipe, Opening(listener=Silent(), began=time.monotonic()))
    assert session.most_steps is not None
    run = Run(tmp_path)
    run.recipe_path.write_text(to_toml(session.recipe))
    job = Job.of(run, session, session.network()[0], Silent(), ProcessGroup())
    smaller = fit_job._with_half_the_batch(job, "no memory")
    assert smaller.session.most_steps is not None and smaller.resolved.batch_size == 32
    most = session.most_steps / job.epoch_steps
    assert smaller.epoch_steps > 1.9 * job.epoch_steps and smaller.session.most_steps / smaller.epoch_steps == most
