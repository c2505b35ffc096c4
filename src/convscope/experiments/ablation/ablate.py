"""Start an ablation or resume one: what is trained with what is decided before the first training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from convscope.api.annotations import Positive
from convscope.api.public import public
from convscope.data.memory.source import InMemory
from convscope.data.open import Probe
from convscope.errors import RunError
from convscope.experiments.ablation.plan import (
    AblationPlan,
    jobs_that_fit,
    make_plan,
    read_plan,
    shared_out,
    write_plan,
)
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.results import Results, read_results
from convscope.experiments.ablation.series import OpeningListener, Series
from convscope.experiments.ablation.trial import Trial, measured_on
from convscope.experiments.ablation.variants import BASELINE, choose_variants
from convscope.hardware.rank import Rank
from convscope.nets.own_code import is_own, without_folders
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO, Auto, following_seeds
from convscope.report.progress import ProgressOption
from convscope.report.units import plural
from convscope.report.usage import Placeholder, call_text, setting_name, settings_text
from convscope.runs.atomic_files import write_file
from convscope.runs.events import Listener, Silent
from convscope.runs.run_directory import Run
from convscope.runs.run_like import HasRun, RunLike
from convscope.runs.runs_in_folder import ABLATION_PLAN
from convscope.runs.training_display import listening
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.given_data import images_again, recipe_on, require_resumable
from convscope.training.interrupt import warn_if_interrupted
from convscope.training.job import hash_of
from convscope.training.new_run import new_run
from convscope.training.opening import Opening, Sharing
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.session import prepare

# The notes' own network: each part that made AlexNet can be taken out of it.
DEFAULT_MODEL = "alexnet-mini"
SEEDS = 3


@public
def ablate(
    data: str | Path | InMemory | None = None,
    recipe: Recipe | None = None,
    *,
    without: Sequence[str] | None = None,
    seeds: int | None = None,
    jobs: Positive | Auto = AUTO,
    classes: Sequence[str] | None = None,
    resume: RunLike | None = None,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    on_trial: Callable[[Trial], object] | None = None,
    progress: ProgressOption = False,
) -> Ablation:
    """Train with everything on, and with one thing removed at a time, each with several seeds.

    All trainings share the split, the settings and the learning rate; those of one seed also share the order of the
    images and, where shapes agree, the initial weights.

    Args:
        data: as `convscope.train` takes it.
        recipe: the baseline; its seed is the first of the seeds. A model left at auto is alexnet-mini. An ablation that
            is resumed keeps its own.
        without: what to remove, by name; None removes the usual parts that this training has.
        seeds: how many seeds; 3, or those of the ablation that is resumed, unless given.
        jobs: trainings at once; auto: as many as cores and memory allow, and one for images in memory.
        classes: as `convscope.train` takes them.
        resume: an ablation to go on with, or to add variants and seeds to, by its path or its result.
        name: of the directory; the next free name is taken where it exists.
        runs_directory: where the directory is made.
        cache_directory: where decoded images are kept.
        on_trial: is called with each training's result once it is written; `StopTraining` ends the ablation there, and
            any other exception does and is raised again. What is complete is kept.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        RunError: something that can't be removed here, which is found before any image is read.

    >>> import convscope, tempfile
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     recipe = convscope.Recipe(model="lenet5", epochs=1)
    ...     found = convscope.ablate("digits", recipe, without=["momentum"], seeds=1, jobs=1, runs_directory=runs)
    >>> found.ending, [finding.variant.name for finding in found.findings]
    ('done', ['baseline', 'momentum'])
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()
    cache = None if cache_directory is None else Path(cache_directory)
    with listening(progress) as listener:
        if resume is not None:
            require_resumable(name, runs_directory, recipe)
            found = ablate_on(
                resume,
                data,
                classes=classes,
                without=without,
                seeds=seeds,
                jobs=jobs,
                cache_directory=cache,
                listener=listener,
                on_trial=on_trial,
            )
        else:
            recipe, given = recipe_on(data, recipe, classes)
            found = begin_ablation(
                recipe,
                without=without,
                seeds=SEEDS if seeds is None else seeds,
                jobs=jobs,
                name=name,
                runs_directory=Path(runs_directory),
                cache_directory=cache,
                listener=listener,
                given=given,
                on_trial=on_trial,
            )
    warn_if_interrupted(found.run, interrupted=found.interrupted)
    return found


def begin_ablation(
    recipe: Recipe,
    *,
    listener: Listener,
    without: Sequence[str] | None = None,
    seeds: int = SEEDS,
    jobs: int | Auto = AUTO,
    name: str | None = None,
    runs_directory: Path,
    cache_directory: Path | None = None,
    given: Probe | None = None,
    on_trial: Callable[[Trial], object] | None = None,
    began: float | None = None,
) -> Ablation:
    """Start an ablation of `recipe.data`, or on images in memory; arguments and errors are those of `ablate`.

    Its forecast counts from `began`, on the monotonic clock, or from now.
    """
    began = time.monotonic() if began is None else began
    _check_alone()
    _check_epochs(recipe)
    jobs = _jobs_on(given, jobs)
    if recipe.model == AUTO:
        recipe = recipe.changed({"model": DEFAULT_MODEL})
    _check_count(seeds)
    all_seeds = following_seeds(recipe.seed, seeds)
    if recipe.compile == AUTO:
        # A variant would have to be compiled anew, which takes longer than it saves in a short training.
        recipe = recipe.changed({"compile": "no"})
    chosen: list[tuple[AblationPlan, int]] = []

    def share(resolved: ResolvedRecipe) -> Sharing:
        if resolved.recipe.stream == "yes":
            raise RunError(
                "stream: an ablation reads its images again and again, and keeps them decoded: take "
                f"{settings_text(stream='no')}, with room in the cache for them all"
            )
        variants = choose_variants(without, resolved.recipe, resolved.architecture.on_meta)
        plan = make_plan(resolved, variants, all_seeds)
        at_once, threads = shared_out(jobs, recipe.threads, plan, resolved)
        chosen[:] = [(plan, at_once)]
        threads = resolved.mode.threads if threads == AUTO else threads
        return Sharing(at_once=at_once, threads=threads, surgeries=plan.surgeries)

    session = prepare(
        recipe,
        Opening(
            listener=OpeningListener(listener),
            cache_directory=cache_directory,
            name=name,
            check=_check_labels,
            share=share,
            given=given,
        ),
    )
    ((plan, at_once),) = chosen
    plan = replace(plan, data_hash=hash_of(session.dataset), source=session.spec.source)
    measured_on(session)
    opened = new_run(session, runs_directory=runs_directory, default_name="ablate-{}", spec=None, group=ProcessGroup())
    with opened as run:
        write_plan(run, plan)
        series = Series(
            run=run,
            plan=plan,
            session=session,
            listener=listener,
            cache_directory=cache_directory,
            jobs=at_once,
            began=began,
            on_trial=on_trial,
        )
        series.notices(session.notices)
        series.notify(f"directory: {run}")
        return series.train([])


def _jobs_on(given: Probe | None, jobs: int | Auto) -> int | Auto:
    """Return the trainings at once: one for images in memory, which other processes can't read."""
    if given is not None and jobs not in (AUTO, 1):
        raise RunError(f"jobs {jobs}: images in memory are read by one process alone: leave jobs out")
    return jobs if given is None else 1


def ablate_on(
    resume: RunLike,
    data: InMemory | None = None,
    *,
    classes: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    seeds: int | None = None,
    jobs: int | Auto = AUTO,
    cache_directory: str | Path | None = None,
    listener: Listener | None = None,
    on_trial: Callable[[Trial], object] | None = None,
    began: float | None = None,
) -> Ablation:
    """Go on with an ablation that was stopped, or add variants or seeds to one; what is done is not trained again.

    Raises:
        RunError: not an ablation's directory, or the images have changed since.
    """
    began = time.monotonic() if began is None else began
    _check_alone()
    listener = listener or Silent()
    run = resume.run if isinstance(resume, HasRun) else resume if isinstance(resume, Run) else Run(Path(resume))
    begun = read_plan(run)
    recipe = _recipe_of(run, begun)
    all_seeds = _seeds_with(begun, seeds, run, recipe)
    given = images_again(run, data, classes, ())
    jobs = _jobs_on(given, jobs)
    cache = None if cache_directory is None else Path(cache_directory)
    with run.locked():
        results = _results_of(run, begun)
        done = list(results.trials)
        wanted = [variant.name for variant in begun.variants if variant.name != BASELINE]
        wanted += [name for name in without or () if name not in wanted]
        chosen: list[tuple[AblationPlan, int]] = []

        def share(resolved: ResolvedRecipe) -> Sharing:
            variants = choose_variants(wanted, recipe, resolved.architecture.on_meta)
            grown = replace(make_plan(resolved, variants, all_seeds), data_hash=begun.data_hash, source=begun.source)
            at_once, threads = shared_out(jobs, resolved.mode.threads, grown, resolved)
            assert threads != AUTO
            of_memory: tuple[Notice, ...] = ()
            if done:
                at_once, of_memory = jobs_that_fit(at_once, grown, resolved)
            chosen[:] = [(grown, at_once)]
            return Sharing(
                at_once=at_once,
                threads=threads,
                surgeries=grown.surgeries,
                fixed_batch=bool(done),
                notices=of_memory,
            )

        opening = Opening(
            listener=OpeningListener(listener),
            cache_directory=cache,
            of_run=True,
            any_threads=True,
            share=share,
            given=given,
        )
        session = prepare(recipe, opening)
        ((plan, at_once),) = chosen
        if hash_of(session.dataset) != plan.data_hash:
            raise RunError(f"the images of {recipe.data} have changed since {run} was begun: start a new one")
        write_file(run.recipe_path, to_toml(session.recipe))
        write_plan(run, plan)
        series = Series(
            run=run,
            plan=plan,
            session=session,
            listener=listener,
            cache_directory=cache,
            jobs=at_once,
            began=began,
            resumed=True,
            on_trial=on_trial,
        )
        series.notices([notice for notice in session.notices if notice.topic == "memory"])
        of_done = f"resuming {run}: {len(done)} of {len(done) + len(plan.pending(done))} trainings are done"
        for line in (*results.notes, of_done):
            series.notify(line)
        return series.train(done)


def _recipe_of(run: Run, plan: AblationPlan) -> Recipe:
    """Return the baseline's recipe; that of one's own network names the code to run, which must be as it was."""
    recipe = run.recipe()
    if is_own(recipe.model) != (plan.source is not None):
        raise RunError(
            f"{run.path / ABLATION_PLAN} can't be used: its source does not fit {recipe.model} of the recipe"
        )
    run.require_code_of(without_folders(recipe.model), plan.source)
    if plan.source is None:
        return recipe
    code = run.code_of(recipe.model, plan.source)
    run.require_same_code(code, plan.source)
    return recipe.changed({"model": code})


def _seeds_with(plan: AblationPlan, seeds: int | None, run: Run, recipe: Recipe) -> tuple[int, ...]:
    """Return the seeds of a plan, and as many after them as are asked for."""
    count = len(plan.seeds) if seeds is None else seeds
    if count < len(plan.seeds):
        raise RunError(f"{run} was begun with {plural(len(plan.seeds), 'seed')}: give more, not {count}")
    return following_seeds(recipe.seed, count)


def _results_of(run: Run, plan: AblationPlan) -> Results:
    """Return the results of the trainings that are done, all of which are planned."""
    results = read_results(run)
    planned = {(variant.name, seed) for variant in plan.variants for seed in plan.seeds}
    if other := next(((t.variant, t.seed) for t in results.trials if (t.variant, t.seed) not in planned), None):
        raise RunError(
            f"{run} has a result of {other[0]} with seed {other[1]}, which {ABLATION_PLAN} does not plan: "
            f"add it by {setting_name('without')} or {setting_name('seeds')}, or remove its row"
        )
    return results


def _check_labels(found: Probe) -> None:
    if found.multi_label:
        raise RunError(
            f"{found.source} has several labels an image: an ablation compares accuracies of one; train it with and "
            f"without a part by {call_text('train')}, and compare the mAP"
        )


def _check_epochs(recipe: Recipe) -> None:
    """Raise RunError where a number of steps was asked for: variants are compared after equal epochs."""
    if recipe.steps != AUTO:
        epochs = Placeholder("N") if recipe.epochs == AUTO else recipe.epochs
        raise RunError(
            f"steps {recipe.steps:,}: an ablation compares variants after whole epochs: "
            f"give {settings_text(epochs=epochs, steps=AUTO)}"
        )


def _check_alone() -> None:
    if Rank.of().size > 1:
        raise RunError(
            f"an ablation shares the cores out itself ({setting_name('jobs')}), not under torchrun: start it plainly"
        )


def _check_count(seeds: int) -> None:
    if seeds < 1:
        raise RunError(f"{seeds} seeds: an ablation needs at least 1, and 3 or more to tell chance from effect")
