"""`ablate`: what is trained with what, settled before the first training; and going on with what was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from convscope.data.open import Probe, probe
from convscope.errors import RunError
from convscope.experiments.ablation.oom_backoff import train_halving
from convscope.experiments.ablation.plan import PLAN, AblationPlan, baseline_network, make_plan, read_plan, write_plan
from convscope.experiments.ablation.progress import AblationListener, SilentAblation, TrialListener
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.results import read_results
from convscope.experiments.ablation.series import Series
from convscope.experiments.ablation.sharing import jobs_that_fit, shared_out
from convscope.experiments.ablation.trial import Bench, open_bench
from convscope.experiments.ablation.variants import BASELINE, choose_variants
from convscope.hardware.device import require_threads
from convscope.hardware.rank import Rank
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO, Auto, SettingValue, following_seeds
from convscope.report.units import plural
from convscope.runs.atomic_files import write_file
from convscope.runs.events import Listener
from convscope.runs.run_directory import Run, create_run, require_name, run_name
from convscope.training.autotune.make import make_plan as make_training_plan
from convscope.training.job import hash_of
from convscope.training.opening import data_lines, lasting_source
from convscope.training.resolve.memory import fit_to_memory
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import choice_lines
from convscope.training.start import lasting_start

# The notes' own network: each part that made AlexNet can be taken out of it.
DEFAULT_MODEL = "alexnet-mini"


def ablate(
    data: str | Path,
    recipe: Recipe | None = None,
    *,
    without: Sequence[str] | None = None,
    seeds: int = 3,
    jobs: int | Auto = AUTO,
    name: str | None = None,
    runs_directory: str | Path = "runs",
    cache_directory: str | Path | None = None,
    watcher: AblationListener | None = None,
) -> Ablation:
    """Train with everything on, and with one thing removed at a time, each with several seeds.

    All trainings share the split, the settings and the learning rate; those of one seed also share the order of the
    images and, where shapes agree, the initial weights.

    Args:
        data: as `convscope.train` takes it.
        recipe: the baseline; its seed is the first of the seeds. A model left at auto is alexnet-mini.
        without: what to remove, by name; None removes the usual parts that this training has.
        seeds: how many seeds.
        jobs: trainings at once; auto: as many as the cores and the memory bear.
        name: of the directory; the next free name is taken where it exists.
        runs_directory: where the directory is made.
        cache_directory: where decoded images are kept.
        watcher: is told how it goes; None stays silent.

    Raises:
        RunError: something that can't be removed here, which is found before any image is read.
    """
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()
    _check_alone()
    watcher = watcher or SilentAblation()
    recipe = (recipe or Recipe()).changed({"data": str(data)})
    if recipe.model == AUTO:
        recipe = recipe.changed({"model": DEFAULT_MODEL})
    _check_count(seeds)
    require_name(name)
    require_threads(recipe.threads)
    all_seeds = following_seeds(recipe.seed, seeds)
    found = probe(recipe.data, layout=recipe.layout)
    _check_labels(found)
    cache = None if cache_directory is None else Path(cache_directory)
    resolved = resolve(recipe.changed({"data": lasting_source(found), "weights": lasting_start(recipe)}), found, cache)
    if resolved.recipe.stream == "yes":
        raise RunError(
            "stream: an ablation reads its images again and again, and keeps them decoded: take --stream no, with room "
            "in the cache for them all"
        )
    classes = len(found.classes)
    variants = choose_variants(without, resolved.recipe, lambda: baseline_network(resolved, classes))
    plan = make_plan(resolved, classes, variants, all_seeds)
    notes = [notice.text for notice in resolved.notices]
    reasons = choice_lines(resolved.choices)
    jobs, threads = shared_out(jobs, recipe.threads, plan, resolved)
    resolved, of_memory = fit_to_memory(resolved, found, at_once=jobs, surgeries=plan.surgeries)
    resolved = resolve(
        resolved.recipe.changed({"threads": resolved.mode.threads if threads == AUTO else threads}), found
    )
    bench = open_bench(resolved.recipe, found, TrialListener(watcher), cache)
    # A variant would have to be compiled anew, which takes longer than it saves in a short training.
    fixed: dict[str, SettingValue] = {
        "threads": resolved.mode.threads,
        **({"compile": "no"} if recipe.compile == AUTO else {}),
    }
    planned = make_training_plan(recipe.changed(fixed), resolved, bench.spec, bench.train, cache_directory=cache)
    resolved = planned.resolved
    bench = replace(bench, recipe=resolved.recipe)
    plan = replace(plan, data_hash=hash_of(bench.dataset))
    assert bench.measured_on
    run = create_run(Path(runs_directory), name or f"ablate-{run_name(recipe.data, resolved.recipe.model)}")
    with run.locked():
        write_file(run.recipe_path, to_toml(resolved.recipe))
        write_plan(run, plan)
        of_plan = (f"plan: {line}" for line in planned.lines)
        told = (f"auto: {reason}" for reason in reasons), (notice.text for notice in of_memory), of_plan
        series = Series(run=run, plan=plan, bench=bench, watcher=watcher, cache_directory=cache, jobs=jobs)
        for line in (*data_lines(bench.dataset), *notes, *chain(*told), f"directory: {run}"):
            series.notify(line)
        return train_halving(series, [])


def ablate_on(
    path: str | Path,
    *,
    without: Sequence[str] | None = None,
    seeds: int | None = None,
    jobs: int | Auto = AUTO,
    cache_directory: str | Path | None = None,
    watcher: AblationListener | None = None,
) -> Ablation:
    """Go on with an ablation that was stopped, or add variants or seeds to one; what is done is not trained again.

    Raises:
        RunError: not an ablation's directory, or the images have changed since.
    """
    _check_alone()
    watcher = watcher or SilentAblation()
    run = Run(Path(path))
    plan = read_plan(run)
    recipe = run.recipe()
    count = len(plan.seeds) if seeds is None else seeds
    if count < len(plan.seeds):
        raise RunError(f"{run} was begun with {plural(len(plan.seeds), 'seed')}: give more, not {count}")
    all_seeds = following_seeds(recipe.seed, count)
    cache = None if cache_directory is None else Path(cache_directory)
    with run.locked():
        results = read_results(run)
        found = probe(recipe.data, layout=recipe.layout)
        resolved = resolve(recipe, found, cache)
        classes = len(found.classes)
        wanted = [variant.name for variant in plan.variants if variant.name != BASELINE]
        wanted += [name for name in without or () if name not in wanted]
        variants = choose_variants(wanted, recipe, lambda: baseline_network(resolved, classes))
        plan = replace(make_plan(resolved, classes, variants, all_seeds), data_hash=plan.data_hash)
        bench = _bench_as_begun(run, plan, recipe, found, TrialListener(watcher), cache)
        done = list(results.trials)
        planned = {(variant.name, seed) for variant in plan.variants for seed in plan.seeds}
        if other := next(((t.variant, t.seed) for t in done if (t.variant, t.seed) not in planned), None):
            raise RunError(
                f"{run} has a result of {other[0]} with seed {other[1]}, which {PLAN} does not plan: add it by "
                "--without or --seeds, or remove its row"
            )
        jobs, _ = shared_out(jobs, recipe.threads, plan, resolved)
        if done:
            jobs, of_memory = jobs_that_fit(jobs, plan, resolved)
        else:
            resolved, of_memory = fit_to_memory(resolved, found, at_once=jobs, surgeries=plan.surgeries)
            bench = replace(bench, recipe=resolved.recipe)
            write_file(run.recipe_path, to_toml(resolved.recipe))
        write_plan(run, plan)
        series = Series(run=run, plan=plan, bench=bench, watcher=watcher, cache_directory=cache, jobs=jobs)
        of_done = f"resuming {run}: {len(done)} of {len(done) + len(plan.pending(done))} trainings are done"
        for line in (*(notice.text for notice in of_memory), *results.notes, of_done):
            series.notify(line)
        return train_halving(series, done)


def _bench_as_begun(
    run: Run, plan: AblationPlan, recipe: Recipe, found: Probe, listener: Listener, cache: Path | None
) -> Bench:
    """Return the images as they were when the ablation was begun; raises RunError where they have changed since."""
    bench = open_bench(recipe, found, listener, cache)
    in_text_order = tuple(sorted(found.classes))
    if hash_of(bench.dataset) != plan.data_hash and in_text_order != found.classes:
        # Classes named by numbers were once ordered as text, and the order decides the split.
        found = probe(recipe.data, layout=recipe.layout, earlier=in_text_order)
        bench = open_bench(recipe, found, listener, cache)
    if hash_of(bench.dataset) != plan.data_hash:
        raise RunError(f"the images of {recipe.data} have changed since {run} was begun: start a new one")
    return bench


def _check_alone() -> None:
    if Rank.of().size > 1:
        raise RunError("an ablation shares the cores out itself (--jobs), not under torchrun: start it plainly")


def _check_count(seeds: int) -> None:
    if seeds < 1:
        raise RunError(f"{seeds} seeds: an ablation needs at least 1, and 3 or more to tell chance from effect")


def _check_labels(found: Probe) -> None:
    if found.multi_label:
        raise RunError(
            f"{found.source} has several labels an image: an ablation compares accuracies of one; train it with and "
            "without a part by convscope train, and compare the mAP"
        )
