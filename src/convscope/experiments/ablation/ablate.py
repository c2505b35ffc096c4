"""`ablate`: plan, train, write down each result as it comes, and tell what was found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from convscope.data.listing import Listing
from convscope.data.open import probe
from convscope.errors import RunError
from convscope.experiments.ablation.crew import trials
from convscope.experiments.ablation.filter_scale import changes_told
from convscope.experiments.ablation.findings import (
    Claim,
    Finding,
    compare_with_notes,
    find,
    is_the_notes_case,
    ordered,
)
from convscope.experiments.ablation.plan import (
    Plan,
    baseline_network,
    make_plan,
    read_plan,
    read_results,
    write_plan,
    write_results,
)
from convscope.experiments.ablation.sharing import jobs_that_fit, shared_out
from convscope.experiments.ablation.trial import Bench, NoMemory, Trial, open_bench
from convscope.experiments.ablation.variants import BASELINE, choose_variants
from convscope.report.units import percent, plural, seconds
from convscope.train.choose import settle
from convscope.train.events import Silent
from convscope.train.files import write_file
from convscope.train.fitting import LEAST_BATCH, fit_to_memory, followed, with_batch
from convscope.train.interrupt import StopRequest, heeding_interrupts
from convscope.train.job import hash_of
from convscope.train.place import Place
from convscope.train.plan.make import make_plan as make_training_plan
from convscope.train.recipe import AUTO, Auto, Recipe, Value
from convscope.train.recipe_file import to_toml
from convscope.train.run import Run, create_run, run_name
from convscope.train.start import lasting_start
from convscope.train.training import lasting_source

# The notes' own network: each part that made AlexNet can be taken out of it.
DEFAULT_MODEL = "alexnet-mini"
RESUMABLE = "--without and --seeds may add to it"


class Watcher(Protocol):
    """Somebody who watches an ablation."""

    def said(self, line: str) -> None:
        """A sentence for the reader."""

    def progressed(self, done: int, total: int, what: str) -> None:
        """Work other than training, such as decoding, moved on."""

    def moved(self, share: float, seconds_left: float | None) -> None:
        """The trainings moved on: the share of all of them that is done, and the time left as far as can be told."""


class Unwatched(Silent):
    """A watcher that shows nothing."""

    def moved(self, share: float, seconds_left: float | None) -> None:
        """Show nothing."""


class _Telling(Silent):
    """Passes on what opening the data tells."""

    def __init__(self, watcher: Watcher) -> None:
        self.progressed = watcher.progressed  # type: ignore[method-assign]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What came out: the directory, how it ended ("done" or "stopped"), the plan, every training, what was found."""

    run: Run
    recipe: Recipe
    ending: str
    exit_code: int
    plan: Plan
    trials: tuple[Trial, ...]
    measured_on: str
    findings: tuple[Finding, ...]
    claims: tuple[Claim, ...]

    @property
    def report(self) -> Path:
        """The page."""
        return self.run.report

    @property
    def order(self) -> list[Finding]:
        """The findings, the most accurate first."""
        return ordered(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The ablation as JSON can hold it."""
        return {
            "run": str(self.run),
            "ending": self.ending,
            "model": self.recipe.model,
            "data": self.recipe.data,
            "epochs": self.recipe.epochs,
            "seeds": list(self.plan.seeds),
            "measured_on": self.measured_on,
            "findings": [found.to_dict() for found in self.findings],
            "order": [found.variant.name for found in self.order],
            "notes": [{"claim": claim.text, "found": claim.verdict} for claim in self.claims],
            "report": str(self.report),
        }

    def __str__(self) -> str:
        from convscope.experiments.ablation.text import ablation_text

        return ablation_text(self)

    def _repr_html_(self) -> str:
        from convscope.experiments.ablation.page import ablation_fragment

        return ablation_fragment(self)


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
    watcher: Watcher | None = None,
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
    from convscope.train.allocator import prepare_memory

    prepare_memory()
    _check_alone()
    watcher = watcher or Unwatched()
    recipe = (recipe or Recipe()).changed({"data": str(data)})
    if recipe.model == AUTO:
        recipe = recipe.changed({"model": DEFAULT_MODEL})
    _check_count(seeds)
    found = probe(recipe.data)
    cache = None if cache_directory is None else Path(cache_directory)
    settled = settle(recipe.changed({"data": lasting_source(found), "weights": lasting_start(recipe)}), found, cache)
    if settled.recipe.stream == "yes":
        raise RunError(
            "stream: an ablation reads its images again and again, and keeps them decoded: take --stream no, with room "
            "in the cache for them all"
        )
    _check_labels(found.listing)
    classes = len(found.classes)
    variants = choose_variants(without, settled.recipe, lambda: baseline_network(settled, classes))
    plan = make_plan(settled, classes, variants, _seeds(settled.recipe.seed, seeds))
    reasons = settled.reasons
    jobs, threads = shared_out(jobs, recipe.threads, plan, settled, classes)
    settled, of_memory = fit_to_memory(settled, found, at_once=jobs, surgeries=plan.surgeries)
    settled = settle(settled.recipe.changed({"threads": settled.mode.threads if threads == AUTO else threads}), found)
    bench = open_bench(settled.recipe, found, _Telling(watcher), cache)
    # A variant would have to be compiled anew, which takes longer than it saves in a short training.
    fixed: dict[str, Value] = {"threads": settled.mode.threads, **({"compile": "no"} if recipe.compile == AUTO else {})}
    planned = make_training_plan(recipe.changed(fixed), settled, bench.card, bench.train, cache_directory=cache)
    settled = planned.settled
    bench = replace(bench, recipe=settled.recipe)
    plan = replace(plan, data_hash=hash_of(bench.dataset))
    assert bench.measured_on
    run = create_run(Path(runs_directory), name or f"ablate-{run_name(recipe.data, settled.recipe.model)}")
    with run.locked():
        write_file(run.recipe_path, to_toml(settled.recipe))
        write_plan(run, plan)
        of_plan = (f"plan: {line}" for line in planned.lines)
        told = (f"auto: {reason}" for reason in reasons), (f"memory: {line}" for line in of_memory), of_plan
        for line in (*chain(*told), f"directory: {run}"):
            watcher.said(line)
        return _Course(run, plan, bench, watcher, cache, jobs).go([])


def ablate_on(
    path: str | Path,
    *,
    without: Sequence[str] | None = None,
    seeds: int | None = None,
    jobs: int | Auto = AUTO,
    cache_directory: str | Path | None = None,
    watcher: Watcher | None = None,
) -> Ablation:
    """Go on with an ablation that was stopped, or add variants or seeds to one; what is done is not trained again.

    Raises:
        RunError: not an ablation's directory, or the images have changed since.
    """
    _check_alone()
    watcher = watcher or Unwatched()
    run = Run(Path(path))
    plan = read_plan(run)
    recipe = run.recipe()
    cache = None if cache_directory is None else Path(cache_directory)
    with run.locked():
        found = probe(recipe.data)
        settled = settle(recipe, found, cache)
        classes = len(found.classes)
        wanted = [variant.name for variant in plan.variants if variant.name != BASELINE]
        wanted += [name for name in without or () if name not in wanted]
        variants = choose_variants(wanted, recipe, lambda: baseline_network(settled, classes))
        if seeds is not None:
            _check_count(seeds)
        count = max(len(plan.seeds), seeds or 0)
        plan = replace(make_plan(settled, classes, variants, _seeds(recipe.seed, count)), data_hash=plan.data_hash)
        bench = open_bench(recipe, found, _Telling(watcher), cache)
        if hash_of(bench.dataset) != plan.data_hash:
            raise RunError(f"the images of {recipe.data} have changed since {run} was begun: start a new one")
        done = read_results(run)
        jobs, _ = shared_out(jobs, recipe.threads, plan, settled, classes)
        if done:
            jobs, of_memory = jobs_that_fit(jobs, plan, settled, classes)
        else:
            settled, of_memory = fit_to_memory(settled, found, at_once=jobs, surgeries=plan.surgeries)
            bench = replace(bench, recipe=settled.recipe)
            write_file(run.recipe_path, to_toml(settled.recipe))
        for line in of_memory:
            watcher.said(f"memory: {line}")
        write_plan(run, plan)
        watcher.said(f"resuming {run}: {len(done)} of {len(done) + len(plan.pending(done))} trainings are done")
        return _Course(run, plan, bench, watcher, cache, jobs).go(done)


@dataclass
class _Course:
    """One call's way through what is still to be trained."""

    run: Run
    plan: Plan
    bench: Bench
    watcher: Watcher
    cache_directory: Path | None
    jobs: int

    def go(self, done: list[Trial]) -> Ablation:
        while True:
            try:
                return self._go(done)
            except NoMemory as error:
                # Only the words are kept: the error itself holds on to all that was in memory.
                refused = str(error)
            # Trainings with another batch would not compare.
            if read_results(self.run):
                raise RunError(f"{refused}, and the complete trainings had such steps: free memory")
            self._halve(refused)

    def _halve(self, refused: str) -> None:
        """Let all trainings have half as many images a step."""
        before = settle(self.bench.recipe, self.bench.found)
        if before.batch_size < 2 * LEAST_BATCH:
            raise RunError(f"{refused}: take a smaller image_size or network")
        settled = with_batch(before, self.bench.found, before.batch_size // 2)
        self._say(f"memory: {refused}: {followed(settled, before)}")
        self.bench = replace(self.bench, recipe=settled.recipe)
        write_file(self.run.recipe_path, to_toml(settled.recipe))

    def _go(self, done: list[Trial]) -> Ablation:
        tasks = self.plan.pending(done)
        recipe = self.bench.recipe
        for line in self._differing():
            self._say(line)
        at_once = f", {self.jobs} at once" if self.jobs > 1 else ""
        self._say(
            f"{plural(len(tasks), 'training')} of {recipe.model}, {plural(int(recipe.epochs), 'epoch')} each, "
            f"on {recipe.device} with {plural(int(recipe.threads), 'thread')} each{at_once}; "
            f"all at learning rate {float(recipe.learning_rate):g}"
        )
        clock = _Clock(len(tasks), self.watcher)
        everything = list(done)
        stopping = "stopping; trainings that are not complete start over on --resume"
        with heeding_interrupts(lambda: self._say(stopping)) as request:
            coming = trials(
                tasks,
                recipe=recipe,
                bench=self.bench,
                cache_directory=self.cache_directory,
                jobs=self.jobs,
                moved=clock.moved,
                stop=lambda: bool(request),
            )
            with closing(coming):  # however this ends, so do the workers
                for trial in coming:
                    everything.append(trial)
                    everything.sort(key=self._place)
                    write_results(self.run, everything)
                    self._say(self._line(trial, len(everything), clock.left))
            return self._finish(everything, request)

    def _differing(self) -> list[str]:
        """What is trained with settings of its own, in words."""
        classes = len(self.bench.card.classes)
        whole = baseline_network(settle(self.bench.recipe, self.bench.found), classes)
        lines = (changes_told(self.bench.recipe, variant, whole) for variant in self.plan.variants)
        return [line for line in lines if line]

    def _finish(self, done: list[Trial], request: StopRequest) -> Ablation:
        findings = find(self.plan, done)
        listing = self.bench.found.listing
        notes = is_the_notes_case(str(self.bench.recipe.model), listing, findings)
        complete = not self.plan.pending(done)
        ablation = Ablation(
            run=self.run,
            recipe=self.bench.recipe,
            ending="done" if complete else "stopped",
            exit_code=0 if complete else request.exit_code,
            plan=self.plan,
            trials=tuple(done),
            measured_on=self.bench.measured_on[0],
            findings=findings,
            claims=tuple(compare_with_notes(findings)) if notes else (),
        )
        if done:
            from convscope.experiments.ablation.page import ablation_page

            write_file(self.run.report, ablation_page(ablation))
        return ablation

    def _place(self, trial: Trial) -> tuple[int, int]:
        names = [variant.name for variant in self.plan.variants]
        return names.index(trial.variant), trial.seed

    def _line(self, trial: Trial, done: int, left: float | None) -> str:
        label = next(variant.label for variant in self.plan.variants if variant.name == trial.variant)
        came_to = "diverged" if trial.accuracy is None else percent(trial.accuracy, decimals=2)
        of = len(self.plan.variants) * len(self.plan.seeds)
        more = f"; {seconds(left)} left" if left else ""
        return f"{done} of {of}  {label}, seed {trial.seed}: {came_to} in {seconds(trial.seconds)}{more}"

    def _say(self, line: str) -> None:
        self.watcher.said(line)
        self.run.log(line)


class _Clock:
    """How much of all trainings is done, and what that says of the time left."""

    def __init__(self, tasks: int, watcher: Watcher) -> None:
        self._shares = [0.0] * tasks
        self._watcher = watcher
        self._began = time.monotonic()

    @property
    def left(self) -> float | None:
        """Seconds to the end at the pace so far; None before there is a pace."""
        done = sum(self._shares)
        return (time.monotonic() - self._began) / done * (len(self._shares) - done) if done else None

    def moved(self, task: int, share: float) -> None:
        """A task has come so far."""
        self._shares[task] = max(self._shares[task], share)
        self._watcher.moved(sum(self._shares) / len(self._shares), self.left)


def _seeds(first: int, count: int) -> tuple[int, ...]:
    return tuple(range(first, first + count))


def _check_alone() -> None:
    if Place.of().size > 1:
        raise RunError("an ablation shares the cores out itself (--jobs), not under torchrun: start it plainly")


def _check_count(seeds: int) -> None:
    if seeds < 1:
        raise RunError(f"{seeds} seeds: an ablation needs at least 1, and 3 or more to tell chance from effect")


def _check_labels(listing: Listing) -> None:
    if listing.targets is not None:
        raise RunError(f"{listing.source} has several labels an image: an ablation compares accuracies of one")
