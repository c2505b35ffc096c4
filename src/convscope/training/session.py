"""The one way to open a training: `prepare` turns a recipe into a `Session` that is ready for its first step.

A new run, a resumed one, an ablation, an ensemble, the learning-rate range test and the doctor all start here, so that
each of them trains the same batch of the same images with the same settings.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from convscope.api.generators import OwnGenerators, exclusive
from convscope.data.batches import measure_normalization
from convscope.data.class_names import look_alikes_text
from convscope.data.listing import is_in_memory
from convscope.data.open import BUILT_IN, SOURCES, Probe, open_dataset, probe
from convscope.data.pixels.cache_budget import CacheFullError
from convscope.data.records import Dataset, Decoding, ImageSet, Problem
from convscope.data.training_batches import steps_of_epoch
from convscope.errors import DataError, RunError
from convscope.hardware.device import require_threads
from convscope.hardware.mode import computing
from convscope.hardware.rank import Rank
from convscope.nets.own_code import lasting_name
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.recipe.setting import AUTO
from convscope.report.printable import first_and_last, quoted_where_blank
from convscope.report.progress import Progress
from convscope.report.units import plural
from convscope.report.usage import settings_text
from convscope.runs.atomic_files import write_file
from convscope.runs.events import Listener
from convscope.runs.kept_code import write_code
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run, create_run, require_name, run_name, short_name
from convscope.scoring.defect_rule import require_enough
from convscope.training.autotune.make import make_plan
from convscope.training.autotune.measured_costs import sides_of
from convscope.training.autotune.record import ComputePlan
from convscope.training.choice_in_time import ChosenInTime, chosen_in_time
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.state import first_plan
from convscope.training.planned_time import planned_time
from convscope.training.resolve.head import asks_to_solve, trained_head, without_epochs
from convscope.training.resolve.memory import Surgery, fit_to_memory, unchanged
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.resolve.spec import spec_for
from convscope.training.start import Start, read_start, starting_network
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import Forecast
from convscope.training.timing.pacer import Pacer
from convscope.training.timing.time_budget import TimeBudget, budget_of, progress_within, refuse_budget


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How the trainings of one session share the machine.

    Args:
        at_once: how many run at once.
        threads: of each; None leaves them to the recipe and the autotune.
        surgeries: change the network in place; the memory must hold a step of whichever needs most.
        fixed_batch: the batch was fitted to the memory before and must not change.
        notices: what to say of it.
    """

    at_once: int = 1
    threads: int | None = None
    surgeries: Sequence[Surgery] = (unchanged,)
    fixed_batch: bool = False
    notices: tuple[Notice, ...] = ()


ALONE = Sharing()


@dataclass(frozen=True, kw_only=True)
class Session:
    """A training that is open: all settings, all images, and the messages before its first step.

    Args:
        resolved: the recipe with nothing at auto, in the mode of `plan`.
        found: the source as it was probed.
        dataset: its images; the training part is not empty.
        spec: of the network that is trained, and how images are prepared for it.
        start: the weights that training starts from, where the recipe names a file and no run is resumed.
        plan: the compute mode that was measured, if any.
        costs: what steps and the ends of epochs take, where that was measured.
        budget: the time that the command keeps to, where it has one.
        most_steps: no plan within the budget has more.
        forecast: of the time, memory and disk of the command.
        notices: in the order in which they are shown.
        name: of the run directory, if one was given.
    """

    resolved: ResolvedRecipe
    found: Probe
    dataset: Dataset
    spec: ModelSpec
    start: Start | None = None
    plan: ComputePlan | None = None
    costs: Costs | None = None
    budget: TimeBudget | None = None
    most_steps: int | None = None
    forecast: Forecast | None = None
    notices: tuple[Notice, ...] = ()
    name: str | None = None

    @property
    def recipe(self) -> Recipe:
        """Every setting."""
        return self.resolved.recipe

    @property
    def train(self) -> ImageSet:
        """The images to train on."""
        assert self.dataset.train is not None
        return self.dataset.train

    @property
    def epoch_steps(self) -> int:
        """How many steps a whole epoch has."""
        return steps_of_epoch(self.train, self.resolved.batch_size)

    def pacer(self) -> Pacer | None:
        """Return what keeps the training within its time; None where no cost was measured."""
        if self.costs is None:
            return None
        return Pacer(
            costs=replace(self.costs, before=0.0),
            sides=sides_of(self.resolved),
            deadline=None if self.budget is None else self.budget.deadline,
            budget=0.0 if self.budget is None else self.budget.seconds,
            most_steps=self.most_steps,
            ends_early=self.budget is not None and self.budget.given,
        )

    def computing(self) -> AbstractContextManager[None]:
        """Return the block in which steps have the session's threads and arithmetic."""
        return computing(self.resolved.mode, self.resolved.device)

    def generators(self) -> OwnGenerators:
        """Return the generators that initial weights are drawn from, as the recipe's seed makes them."""
        return OwnGenerators(self.resolved.seed, self.resolved.device)

    def network(self, own: OwnGenerators | None = None) -> tuple[nn.Module, list[str]]:
        """Return the network that training starts with, and lines on its weights.

        It is drawn from `own`, the session's `generators` unless given, which go on from there.

        Raises:
            CaptureError: weights of another network, or timm's that can't be fetched.
        """
        with exclusive(), own or self.generators():
            return starting_network(
                self.spec,
                self.train,
                seed=self.resolved.seed,
                freeze=self.recipe.freeze,
                start=self.start,
                fetched=self.start is None and self.resolved.starts_trained,
            )


def prepare(
    recipe: Recipe,
    *,
    listener: Listener,
    cache_directory: Path | None = None,
    name: str | None = None,
    group: ProcessGroup | None = None,
    earlier: tuple[str, ...] = (),
    resumed: ModelSpec | None = None,
    given: Probe | None = None,
    any_threads: bool = False,
    check: Callable[[Probe], None] = lambda found: None,
    share: Callable[[ResolvedRecipe], Sharing] = lambda resolved: ALONE,
    images: Callable[[ResolvedRecipe], Dataset] | None = None,
    autotune: bool = True,
    solves: bool = False,
    began: float | None = None,
) -> Session:
    """Open a training; what is impossible is refused before an image is read.

    Args:
        recipe: every setting as the user gave it, or as a run that is resumed has it.
        listener: is notified of the progress of decoding.
        cache_directory: where decoded images are kept.
        name: of the run directory, checked here, for `new_run`.
        group: the processes that train together: the first one decides for all.
        earlier: the classes of a run that this one belongs to, in its order.
        resumed: the spec of the run that is resumed; its weights are in its checkpoint, and its plan is made.
        given: the images, where they are in memory; else `recipe.data` names them.
        any_threads: the recipe is that of a larger machine, perhaps, and is taken as it is.
        check: is called with the source, and may refuse it before anything is resolved.
        share: is called with the resolved recipe before an image is read, and may refuse it.
        images: makes the dataset, in place of the source's own images.
        autotune: whether the compute mode may be measured.
        solves: whether the caller can solve a head; else it is trained, and a recipe that asks to solve is refused.
        began: when the command began, on the monotonic clock, where the recipe's minutes are kept; None where nothing
            has a time budget.

    Raises:
        ConvscopeError: data, a network or a setting that can't be used, or no memory for two images.
    """
    group = group or ProcessGroup()
    if not recipe.data:
        raise RunError(f"there is nothing to train on: name {SOURCES}")
    require_name(name)
    recipe = recipe if solves else trained_head(recipe)
    if resumed is None and not any_threads:
        require_threads(recipe.threads)
    budget = None if began is None else budget_of(recipe, began)
    if began is None:
        refuse_budget(recipe)
    earlier = earlier if resumed is None else resumed.classes
    found = given or probe(recipe.data, layout=recipe.layout, options=recipe.source_options, earlier=earlier)
    if resumed is not None and found.classes != resumed.classes:
        raise RunError(f"{recipe.data} no longer has the classes that the run was trained on: start a new run")
    check(found)
    found = found.with_fewer(recipe.train_images, test_fraction=recipe.test_fraction, seed=recipe.seed_of_split)
    weights = os.path.realpath(recipe.weights) if recipe.weights else ""
    model = lasting_name(recipe.model)
    lasting = recipe.changed({"data": _lasting_source(found), "weights": weights, "model": model})
    in_time = ChosenInTime(recipe=lasting)
    if budget is not None and group.size == 1:
        in_time = chosen_in_time(lasting, found, budget, cache_directory)
        lasting = in_time.recipe

    def fitted(freeze: str) -> tuple[ResolvedRecipe, tuple[Notice, ...], int | None]:
        resolved = resolve(lasting.changed({"freeze": freeze}), found, cache_directory)
        resolved = replace(resolved, choices=(*in_time.choices, *resolved.choices))
        sharing = share(resolved)
        if sharing.threads is not None:
            resolved = resolved.changed(threads=sharing.threads)
        if sharing.fixed_batch or not resolved.epochs:  # without an epoch no step has to fit
            return resolved, sharing.notices, sharing.threads
        resolved, of_memory = fit_to_memory(
            resolved, found, processes=group.size, at_once=sharing.at_once, surgeries=sharing.surgeries
        )
        return resolved, (*sharing.notices, *of_memory), sharing.threads

    resolved, of_memory, threads = group.decided(lambda: fitted(lasting.freeze))
    start = None
    if resumed is None:
        start = read_start(
            weights,
            resolved.architecture,
            trained=resolved.starts_trained,
            solved=asks_to_solve(lasting),
        )
    if start is not None and (frozen := start.freeze) != lasting.freeze:
        # The weights decide which parts can be frozen, and that changes what a step needs.
        resolved, of_memory, threads = group.decided(lambda: fitted(frozen))
    shown = listener.progressed if budget is None else progress_within(budget, listener.progressed)
    # By the rules of the time, where the run is older than one of them.
    decoding = resolved.decoding if resumed is None else resumed.decoding
    dataset = group.in_turn(
        lambda: images(resolved) if images else _open_images(found, resolved, decoding, shown, cache_directory)
    )
    spec = resumed or spec_of(resolved, dataset)
    session = Session(resolved=resolved, found=found, dataset=dataset, spec=spec, start=start, name=name)
    resolved = in_whole_steps(recipe, resolved, session.epoch_steps)
    session = replace(session, resolved=resolved)
    asked = recipe if threads is None else recipe.changed({"threads": threads})
    if not (autotune and resolved.epochs):
        asked = resolved.recipe
    planned = group.decided(
        lambda: make_plan(
            asked,
            resolved,
            spec,
            session.train,
            alone=group.size == 1,
            cache_directory=cache_directory,
            most_seconds=math.inf if budget is None else budget.seconds,
        )
    )
    session = replace(session, resolved=planned.resolved, plan=planned.plan)
    of_time: tuple[Notice, ...] = ()
    if began is not None and session.resolved.epochs:
        timed = planned_time(
            session.resolved,
            spec,
            dataset,
            epoch_steps=session.epoch_steps,
            budget=budget,
            began=began,
            group=group,
        )
        resolved = timed.resolved
        if not resolved.epochs:  # the solved head is all there is time for: its features are exact, as without a budget
            resolved = resolved.changed(**without_epochs(recipe))
        session = replace(
            session,
            resolved=resolved,
            costs=timed.costs,
            budget=timed.budget,
            most_steps=timed.most_steps,
            forecast=timed.forecast,
        )
        of_time = tuple(timed.notices())
    of_plan = (Notice(topic="plan", message=line) for line in planned.lines)
    introduction = session.resolved.introduction(processes=group.size)
    return replace(session, notices=(*_of_data(dataset), *introduction, *of_memory, *of_plan, *of_time))


def in_whole_steps(asked: Recipe, resolved: ResolvedRecipe, epoch_steps: int) -> ResolvedRecipe:
    """Return the recipe with as many epochs as its steps need, where steps were asked for.

    Raises:
        RunError: other epochs were asked for beside them.
    """
    if isinstance(resolved.recipe.steps, str):
        return resolved
    plan = first_plan(resolved, epoch_steps)
    if asked.epochs not in (AUTO, plan.epochs) and asked.batch_size in (AUTO, resolved.batch_size):
        raise RunError(
            f"epochs {asked.epochs} and steps {plan.steps:,} contradict each other: an epoch has {epoch_steps:,} "
            f"steps, so these are {plural(plan.epochs, 'epoch')}; leave one of them at auto"
        )
    return resolved.changed(epochs=plan.epochs)


def _lasting_source(found: Probe) -> str:
    """Return the source as it can be found again from another folder."""
    return found.source if found.source in BUILT_IN or is_in_memory(found.source) else os.path.realpath(found.source)


def _open_images(
    found: Probe, resolved: ResolvedRecipe, decoding: Decoding, progress: Progress, cache_directory: Path | None
) -> Dataset:
    recipe = resolved.recipe
    streamed = recipe.stream == "yes"
    try:
        dataset = open_dataset(
            found,
            decoding=decoding,
            validation_fraction=recipe.held_back,
            test_fraction=recipe.test_fraction,
            seed=recipe.seed_of_split,
            strict=recipe.strict,
            verify=recipe.verify,
            cache_directory=cache_directory,
            progress=progress,
            stream=streamed,
            processes=Rank.of().local_size,
        )
    except CacheFullError as error:
        kept = (
            "hold back fewer"
            if streamed
            else f"train with {settings_text(stream='yes')}, which keeps no training image decoded"
        )
        raise DataError(f"{error}, or {kept}") from None
    if dataset.train is None or not len(dataset.train):
        raise RunError(f"{recipe.data} has no images to train on: put them in class folders, or in train/ by class")
    if recipe.miss_rate:  # again, for images may be unreadable, or equal to another
        val = dataset.class_counts("val") if dataset.val is not None else {recipe.good_class: 0}
        require_enough(sum(val.values()) - val[recipe.good_class], recipe.miss_rate, own_val=found.listing.is_split)
    return dataset


def spec_of(resolved: ResolvedRecipe, dataset: Dataset) -> ModelSpec:
    """Return the spec of the network that the recipe trains on these images."""
    assert dataset.train is not None
    return spec_for(
        resolved,
        normalization=resolved.normalization or measure_normalization(dataset.train),
        classes=dataset.classes,
    )


def _of_data(dataset: Dataset) -> Iterator[Notice]:
    """Yield what there is to say of the images."""
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts.items())
    yield Notice(
        topic="data", message=f"{dataset.source}: {plural(len(dataset.classes), 'class', 'classes')}, images: {counts}"
    )
    yield Notice(message=f"classes: {first_and_last(map(quoted_where_blank, dataset.classes))}")
    yield from (Notice(message=line) for line in (*dataset.notes, *dataset.notes_on_training))
    if alike := look_alikes_text(dataset.classes):
        yield Notice(message=alike, level="warning")
    if dataset.problems:
        skipped = plural(len(dataset.problems), "image")
        yield Notice(message=f"{skipped} skipped: {in_short(dataset.problems)}", level="warning")


def in_short(problems: Sequence[Problem]) -> str:
    """Return the first three problems, and how many more there are."""
    shown = "; ".join(f"{problem.path}: {problem.reason}" for problem in problems[:3])
    return shown + (f"; and {len(problems) - 3:,} more" if len(problems) > 3 else "")


def held_out(dataset: Dataset, *, test: bool = True) -> tuple[str, ImageSet] | None:
    """Return the part that a network is measured on, by name: test where there is one, else val, else None.

    `test=False` leaves the test part to a training that is complete.
    """
    parts = {"test": dataset.test if test else None, "val": dataset.val}
    return next(((name, part) for name, part in parts.items() if part is not None and len(part)), None)


@contextmanager
def new_run(
    session: Session, *, runs_directory: Path, default_name: str = "{}", spec: ModelSpec | None, group: ProcessGroup
) -> Iterator[Run]:
    """Create the run directory of a session and hold its lock; one process writes the recipe, the spec and the split.

    `default_name` is a pattern for the name where none was given. Without a `spec` there is no network to describe.
    """
    name = session.name or default_name.format(run_name(session.found.source, session.spec.name))
    run = Run(group.decided(lambda: create_run(runs_directory, name).path), model=session.spec.code)
    with locked(run, group):
        if group.first:
            write_file(run.recipe_path, to_toml(session.recipe))
            if spec is not None:
                run.write_spec(spec)
                write_split(run, session.dataset)
            elif session.spec.source is not None:
                write_code(run.code_path, session.spec.source)
        yield run


def locked(run: Run, group: ProcessGroup) -> AbstractContextManager[None]:
    """Return the run's lock, held by the process that writes."""
    return run.locked() if group.first else nullcontext()


def write_split(run: Run, dataset: Dataset) -> None:
    """Write split.csv, where the split was made here: each image's split, and its group where there are groups."""
    if not dataset.made_splits:
        return
    grouped = any(images.groups is not None for images in dataset.splits.values())
    rows = [
        (short_name(name, dataset), split, *([group] if grouped else []))
        for split, images in dataset.splits.items()
        for name, group in zip(images.names, images.groups or [""] * len(images), strict=True)
    ]
    run.write_table(run.split_path, ("image", "split", *(["group"] if grouped else [])), rows)
