"""Train a run from a recipe to its report, or resume one from its newest checkpoint."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from convscope import __version__
from convscope.data.open import Probe
from convscope.hardware.allocator import prepare_memory
from convscope.nets.own_code import is_own
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import SettingValue
from convscope.runs.events import Listener, OnEpoch, Silent
from convscope.runs.run_like import RunLike, open_run, run_to_resume, with_code
from convscope.training.distributed.launch import joined
from convscope.training.fit_job import stopping_at_interrupts, train_job
from convscope.training.interrupt import StopRequest
from convscope.training.job import Job
from convscope.training.new_run import new_run
from convscope.training.opening import Opening
from convscope.training.outcome import Outcome
from convscope.training.resumed_run import resume_run
from convscope.training.session import prepare
from convscope.training.training_forecast import TrainingForecast

# The name under which torchrun's processes keep their run beyond a restart.
THE_RUN = "run"


def train_new(
    recipe: Recipe,
    *,
    listener: Listener,
    name: str | None,
    runs_directory: Path,
    cache_directory: Path | None,
    earlier: tuple[str, ...] = (),
    given: Probe | None = None,
    on_epoch: OnEpoch | None = None,
    request: StopRequest | None = None,
    began: float | None = None,
) -> Outcome:
    """Train `recipe.data` into a new run directory; an impossible recipe is refused before an image is read.

    `given` are the images where they are in memory. `earlier` are the classes of a run that this one belongs to: they
    are kept in its order. Processes that torchrun started train together: each is given its share of every batch, and
    the first one writes. Once torchrun has started them again, they resume the run that they trained. A
    `request` may be filled from another thread. The recipe's minutes are counted from `began`, on the monotonic clock;
    without it no recipe may have any.
    """
    with joined() as group:
        listener = listener if group.first else Silent()
        if at := group.remembered(THE_RUN):
            again = open_run(Path(at), model=recipe.model if is_own(recipe.model) else "")
            return resume_run(
                group,
                again,
                {},
                given,
                listener=listener,
                cache_directory=cache_directory,
                on_epoch=on_epoch,
                request=request,
                began=began,
            )
        session = prepare(
            recipe,
            Opening(
                listener=listener,
                cache_directory=cache_directory,
                name=name,
                group=group,
                earlier=earlier,
                given=given,
                solves=True,
                began=began,
            ),
        )
        opened = new_run(session, runs_directory=runs_directory, spec=session.spec, group=group)
        with (
            opened as run,
            session.computing(),
            stopping_at_interrupts(run, listener, group, request) as request,
        ):
            network, of_weights = session.network()
            job = Job.of(run, session, network, listener, group, on_epoch)
            job.cache_directory, job.began = cache_directory, began
            if group.first:
                run.log(f"convscope {__version__}, torch {torch.__version__}, {platform.platform()}")
                run.log(f"memory: {prepare_memory().line}")
                group.remember(THE_RUN, str(run.path.resolve()))
            job.notices(session.notices)
            for line in (*of_weights, f"run: {run}"):
                job.notify(line)
            return train_job(job, request)


def forecast_new(
    recipe: Recipe,
    *,
    listener: Listener,
    name: str | None = None,
    cache_directory: Path | None,
    given: Probe | None = None,
    began: float,
) -> TrainingForecast:
    """Open a training as `train_new` does, and return what it would take, without training and without a run directory.

    Images are decoded into the cache, and the costs of a training's parts are measured here.
    """
    with joined() as group:
        session = prepare(
            recipe,
            Opening(
                listener=listener if group.first else Silent(),
                cache_directory=cache_directory,
                name=name,
                group=group,
                given=given,
                solves=True,
                began=began,
            ),
        )
        return TrainingForecast.of(session)


def train_on(
    resume: RunLike,
    changes: dict[str, SettingValue],
    *,
    listener: Listener,
    cache_directory: Path | None,
    given: Probe | None = None,
    on_epoch: OnEpoch | None = None,
    request: StopRequest | None = None,
    began: float | None = None,
) -> Outcome:
    """Resume a run from its newest checkpoint, as if it had never stopped; `changes` may add epochs, steps or minutes.

    `given` are its images again, where they were in memory. Minutes are counted from `began`, or from now.
    """
    with joined() as group:
        listener = listener if group.first else Silent()
        run, changes = with_code(run_to_resume(resume), changes)
        return resume_run(
            group,
            run,
            changes,
            given,
            listener=listener,
            cache_directory=cache_directory,
            on_epoch=on_epoch,
            request=request,
            began=began,
        )
