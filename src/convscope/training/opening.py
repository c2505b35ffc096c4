"""What is settled of a training before an image is decoded: its source, its settings, the weights that it starts from.

Whatever can be refused without decoding is refused here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from convscope.data.listing import is_in_memory
from convscope.data.open import BUILT_IN, SOURCES, Probe, probe
from convscope.data.records import Dataset
from convscope.errors import RunError
from convscope.hardware.device import require_threads
from convscope.nets.own_code import lasting_name
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Listener
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_names import require_name
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.network_choice.candidate_recipes import CandidateRecipes
from convscope.training.network_choice.choice_in_time import ChosenInTime, chosen_in_time
from convscope.training.network_choice.network_search import NetworkSearch
from convscope.training.resolve.head import asks_to_solve, trained_head
from convscope.training.resolve.memory import Surgery, fit_to_memory, unchanged
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.start import Start, read_start
from convscope.training.timing.time_budget import TimeBudget, budget_of, refuse_budget


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
class Opening:
    """How a training is opened.

    Args:
        listener: is notified of the progress of decoding.
        cache_directory: where decoded images are kept.
        name: of the run directory, checked here, for `new_run`.
        group: the processes that train together: the first one decides for all.
        earlier: the classes of a run that this one belongs to, in its order.
        resumed: the spec of the run that is resumed; its weights are in its checkpoint, and its plan is made.
        of_run: whether `recipe.data` is as a run keeps it, where `digits` is no folder of that name; it is with
            `earlier` or `resumed` in any case.
        given: the images, where they are in memory; else `recipe.data` names them.
        any_threads: the recipe is that of a larger machine, perhaps, and is taken as it is.
        check: is called with the source, and may refuse it before anything is resolved.
        share: is called with the resolved recipe before an image is read, and may refuse it.
        images: makes the dataset, in place of the source's own images.
        autotune: whether the compute mode may be measured.
        solves: whether the caller can solve a head; else it is trained, and a recipe that asks to solve is refused.
        began: when the command began, on the monotonic clock, where the recipe's minutes are kept; None where nothing
            has a time budget.
    """

    listener: Listener
    cache_directory: Path | None = None
    name: str | None = None
    group: ProcessGroup = field(default_factory=ProcessGroup)
    earlier: tuple[str, ...] = ()
    resumed: ModelSpec | None = None
    of_run: bool = False
    given: Probe | None = None
    any_threads: bool = False
    check: Callable[[Probe], None] = lambda found: None
    share: Callable[[ResolvedRecipe], Sharing] = lambda resolved: ALONE
    images: Callable[[ResolvedRecipe], Dataset] | None = None
    autotune: bool = True
    solves: bool = False
    began: float | None = None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A training of which everything is settled but its images.

    Args:
        asked: the recipe as it was given.
        found: the source, of which `train_images` are taken.
        resolved: the recipe with nothing at auto; its batch fits the memory.
        start: the weights that training starts from, where the recipe names a file and no run is resumed.
        budget: the time that the command keeps to, where it has one.
        search: judges networks by a budget that was given, in one process.
        threads: of each of several trainings that share the machine, else None.
        of_memory: what there is to say of the memory.
    """

    asked: Recipe
    found: Probe
    resolved: ResolvedRecipe
    start: Start | None
    budget: TimeBudget | None
    search: NetworkSearch | None
    threads: int | None
    of_memory: tuple[Notice, ...]


def settle(recipe: Recipe, opening: Opening) -> Settled:
    """Settle what can be settled without decoding the images.

    Raises:
        ConvscopeError: a source, a network or a setting that can't be used, or no memory for two images.
    """
    if not recipe.data:
        raise RunError(f"there is nothing to train on: name {SOURCES}")
    require_name(opening.name)
    recipe = recipe if opening.solves else trained_head(recipe)
    if opening.resumed is None and not opening.any_threads:
        require_threads(recipe.threads)
    budget = None if opening.began is None else budget_of(recipe, opening.began)
    if opening.began is None:
        refuse_budget(recipe)
    found = _source(recipe, opening)
    own, processes = _lasting(recipe, found), opening.group.size
    in_time = ChosenInTime(recipe=own)
    if budget is not None:
        in_time = opening.group.decided(
            lambda: chosen_in_time(own, found, budget, opening.cache_directory, processes=processes)
        )
    lasting = in_time.recipe
    fitted = opening.group.decided(lambda: _fitted(in_time, found, opening, freeze=lasting.freeze))
    start = None
    if opening.resumed is None:
        start = read_start(
            own.weights,
            fitted.resolved.architecture,
            trained=fitted.resolved.starts_trained,
            solved=asks_to_solve(lasting),
        )
    if start is not None and (frozen := start.freeze) != lasting.freeze:
        # The weights decide which parts can be frozen, and that changes what a step needs.
        fitted = opening.group.decided(lambda: _fitted(in_time, found, opening, freeze=frozen))
    return Settled(
        asked=recipe,
        found=found,
        resolved=fitted.resolved,
        start=start,
        budget=budget,
        search=_search(own, found, budget, opening),
        threads=fitted.threads,
        of_memory=fitted.notices,
    )


def _search(recipe: Recipe, found: Probe, budget: TimeBudget | None, opening: Opening) -> NetworkSearch | None:
    """Return what judges networks by a budget that was given, for one process."""
    if budget is None or not budget.given or opening.group.size > 1:
        return None
    return NetworkSearch(CandidateRecipes(recipe=recipe, found=found, cache_directory=opening.cache_directory), budget)


def _source(recipe: Recipe, opening: Opening) -> Probe:
    """Return the source with as many images as are to be trained on."""
    resumed = opening.resumed
    found = opening.given or probe(
        recipe.data,
        layout=recipe.layout,
        options=recipe.source_options,
        earlier=opening.earlier if resumed is None else resumed.classes,
        of_run=opening.of_run or resumed is not None or bool(opening.earlier),
    )
    if resumed is not None and found.classes != resumed.classes:
        raise RunError(f"{recipe.data} no longer has the classes that the run was trained on: start a new run")
    opening.check(found)
    return found.with_fewer(recipe.train_images, test_fraction=recipe.test_fraction, seed=recipe.seed_of_split)


def _lasting(recipe: Recipe, found: Probe) -> Recipe:
    """Return the recipe with its paths as they are found again from another folder."""
    # By its kind: a folder may be called as what is built in.
    kept = found.kind in BUILT_IN or is_in_memory(found.source)
    return recipe.changed(
        {
            "data": found.source if kept else _lasting_path(found.source),
            "weights": os.path.realpath(recipe.weights) if recipe.weights else "",
            "model": lasting_name(recipe.model),
        }
    )


def _lasting_path(source: str) -> str:
    """Return the absolute path of a source; a table or an archive that is a link has its images and name beside it."""
    path = Path(source)
    return os.path.realpath(path) if path.is_dir() else str(Path(os.path.realpath(path.parent), path.name))


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """A resolved recipe whose batch fits the memory, the threads of each training, and what there is to say."""

    resolved: ResolvedRecipe
    notices: tuple[Notice, ...]
    threads: int | None


def _fitted(in_time: ChosenInTime, found: Probe, opening: Opening, *, freeze: str) -> _Fitted:
    """Resolve a recipe with these parts frozen, and fit its batch to the memory."""
    resolved = resolve(in_time.recipe.changed({"freeze": freeze}), found, opening.cache_directory)
    resolved = replace(resolved, choices=(*in_time.choices, *resolved.choices))
    sharing = opening.share(resolved)
    if sharing.threads is not None:
        resolved = resolved.changed(threads=sharing.threads)
    of_memory: tuple[Notice, ...] = ()
    if resolved.epochs and not sharing.fixed_batch:  # without an epoch no step has to fit
        resolved, of_memory = fit_to_memory(
            resolved,
            found,
            processes=opening.group.size,
            at_once=sharing.at_once,
            surgeries=sharing.surgeries,
        )
    return _Fitted(resolved=resolved, notices=(*sharing.notices, *of_memory), threads=sharing.threads)
