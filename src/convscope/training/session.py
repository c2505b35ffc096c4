"""The one way to open a training: `prepare` turns a recipe into a `Session` that is ready for its first step.

A new run, a resumed one, an ablation, an ensemble, the learning-rate range test and the doctor all start here, so that
each of them trains the same batch of the same images with the same settings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import nn

from convscope.api.generators import OwnGenerators, exclusive
from convscope.data.batches import measure_normalization
from convscope.data.open import Probe
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.records import Dataset, ImageSet
from convscope.data.streamed import Streamed
from convscope.data.training_batches import steps_of_epoch
from convscope.errors import RunError
from convscope.hardware.machine import resident_memory
from convscope.hardware.mode import compiler_errors_refused, computing
from convscope.recipe.presets import preset_values
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO
from convscope.report.units import plural
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.linear_penalty import seconds_to_fit
from convscope.scoring.test_time_augmentation import view_count
from convscope.training.autotune.make import make_plan
from convscope.training.autotune.measured_costs import sides_of
from convscope.training.autotune.record import ComputePlan
from convscope.training.enough_time import require_enough_time
from convscope.training.forecasts import forecast_notices
from convscope.training.loop.state import first_plan
from convscope.training.opening import Opening, Settled, settle
from convscope.training.planned_time import HeadToSolve, planned_time
from convscope.training.probe.backbone import backbone_of, cached_share
from convscope.training.resolve.augmentation import views_to_choose_from
from convscope.training.resolve.head import SOLVE, without_epochs
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe
from convscope.training.resolve.spec import spec_for
from convscope.training.start import Start, starting_network
from convscope.training.timing.costs import Costs
from convscope.training.timing.forecast import Forecast
from convscope.training.timing.pacer import Pacer
from convscope.training.timing.time_budget import SMALLER_NETWORK, TimeBudget
from convscope.training.training_images import notices_of_images, open_images


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
        views: the test-time augmentations that the time at the end decides between, the fewest views first.
        forecast: of the time, memory and disk of the command.
        resident_before: bytes that the process had in memory before all of this; None where that is unknown.
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
    views: tuple[str, ...] = ()
    forecast: Forecast | None = None
    resident_before: int | None = None
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
            clock=time.monotonic,
            deadline=None if self.budget is None else self.budget.deadline,
            budget=0.0 if self.budget is None else self.budget.seconds,
            most_steps=self.most_steps,
            ends_early=self.budget is not None and self.budget.given,
        )

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Give steps the session's threads and arithmetic inside; refuse what torch can't compile."""
        with compiler_errors_refused(), computing(self.resolved.mode, self.resolved.device):
            yield

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


def prepare(recipe: Recipe, opening: Opening) -> Session:
    """Open a training; what is impossible is refused before an image is read.

    Raises:
        ConvscopeError: data, a network or a setting that can't be used, or no memory for two images.
    """
    resident_before = resident_memory()
    settled = settle(recipe, opening)
    if opening.images is None:
        opening.group.decided(lambda: require_enough_time(settled, opening.cache_directory))
    session = replace(_with_images(settled, opening), resident_before=resident_before)
    session, of_plan = _in_fastest_mode(session, settled, opening)
    session, of_time = _in_time(session, settled, opening)
    notices = (
        *notices_of_images(session.dataset),
        *session.resolved.introduction(processes=opening.group.size),
        *settled.of_memory,
        *of_plan,
        *of_time,
    )
    return replace(session, notices=notices)


def _with_images(settled: Settled, opening: Opening) -> Session:
    """Return the session of a training that is settled, with its images."""
    resolved, images = settled.resolved, opening.images
    dataset = opening.group.in_turn(lambda: images(resolved) if images else open_images(settled, opening))
    spec = opening.resumed or spec_of(resolved, dataset)
    session = Session(
        resolved=resolved, found=settled.found, dataset=dataset, spec=spec, start=settled.start, name=opening.name
    )
    return replace(session, resolved=in_whole_steps(settled.asked, resolved, session.epoch_steps))


def _in_fastest_mode(session: Session, settled: Settled, opening: Opening) -> tuple[Session, list[Notice]]:
    """Return the session in the compute mode that is the fastest here, where it may be measured."""
    asked = settled.asked if settled.threads is None else settled.asked.changed({"threads": settled.threads})
    if not (opening.autotune and session.resolved.epochs):
        asked = session.recipe
    planned = opening.group.decided(
        lambda: make_plan(
            asked,
            session.resolved,
            session.spec,
            session.train,
            alone=opening.group.size == 1,
            cache_directory=opening.cache_directory,
            most_seconds=math.inf if settled.budget is None else settled.budget.seconds,
        )
    )
    of_plan = [Notice(topic="plan", message=line) for line in planned.lines]
    return replace(session, resolved=planned.resolved, plan=planned.plan), of_plan


def _in_time(session: Session, settled: Settled, opening: Opening) -> tuple[Session, list[Notice]]:
    """Return the session with the steps that its budget holds, where it has one, and with its forecast."""
    if opening.began is None:
        return session, []
    timed = planned_time(
        session.resolved,
        session.spec,
        session.dataset,
        epoch_steps=session.epoch_steps,
        budget=settled.budget,
        began=opening.began,
        group=opening.group,
        head=_head_to_solve(session, opening),
        resident_before=session.resident_before,
        instead=lambda: settled.search.cheapest_instead(session.resolved.model) if settled.search else SMALLER_NETWORK,
    )
    resolved = timed.resolved
    if (
        session.resolved.epochs and not resolved.epochs
    ):  # the solved head is all there is time for: its features are exact, as without a budget
        resolved = resolved.changed(**without_epochs(settled.asked))
    session = replace(
        session,
        resolved=resolved,
        costs=timed.costs,
        budget=timed.budget,
        most_steps=timed.most_steps,
        views=_views(settled, resolved),
        forecast=timed.forecast,
    )
    return session, list(forecast_notices(timed.forecast))


def _head_to_solve(session: Session, opening: Opening) -> HeadToSolve:
    """Return what of a solved head is in the cache, and what its fit takes; nothing where no head is solved."""
    if session.resolved.head != SOLVE or opening.resumed is not None or isinstance(session.train.images, Streamed):
        return HeadToSolve()
    resolved, cache = session.resolved, opening.cache_directory or default_cache_directory()
    network, mode = session.network()[0].to(resolved.device), resolved.features_mode
    backbone = backbone_of(network, session.spec, session.train, mode=mode, device=resolved.device, cache=cache)
    with session.computing():
        fitting = seconds_to_fit(
            session.spec.objective,
            samples=len(session.train) * view_count(resolved.head_views),
            features=backbone.head.layer.weight.shape[1],
            classes=resolved.classes,
            validated=len(session.dataset.val or ()),
            l2=resolved.head_l2,
        )
    return HeadToSolve(cached=cached_share(backbone, session.train, views=resolved.head_views), fitting=fitting)


def _views(settled: Settled, resolved: ResolvedRecipe) -> tuple[str, ...]:
    """Return the test-time augmentations to choose from, once it is known whether images are flipped in training."""
    usual = str(preset_values(resolved.recipe.preset, model=resolved.model, loss=resolved.loss)["tta"])
    return views_to_choose_from(settled.asked.tta, usual, flipped=bool(resolved.recipe.flip))


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
    # The usual number of epochs, and the reason for it, are not those of the steps.
    choices = tuple(choice for choice in resolved.choices if choice.setting != "epochs")
    return replace(resolved.changed(epochs=plan.epochs), choices=choices)


def spec_of(resolved: ResolvedRecipe, dataset: Dataset) -> ModelSpec:
    """Return the spec of the network that the recipe trains on these images."""
    assert dataset.train is not None
    return spec_for(
        resolved,
        normalization=resolved.normalization or measure_normalization(dataset.train),
        classes=dataset.classes,
    )


def held_out(dataset: Dataset, *, test: bool = True) -> tuple[str, ImageSet] | None:
    """Return the part that a network is measured on, by name: test where there is one, else val, else None.

    `test=False` leaves the test part to a training that is complete.
    """
    parts = {"test": dataset.test if test else None, "val": dataset.val}
    return next(((name, part) for name, part in parts.items() if part is not None and len(part)), None)
