"""The plan of a run: known from before, measured now, or left to the rules where measuring would not pay."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from torch import nn

from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.records import ImageSet
from convscope.generators import exclusive
from convscope.hardware.device import has_bf16, has_tf32
from convscope.hardware.machine import this_machine
from convscope.hardware.mode import Compile, ComputeMode, Precision
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune.record import ComputePlan, ModeTrial, keep_plan, read_plan
from convscope.training.autotune.search import COMPILE_FROM_SECONDS, Choices, search
from convscope.training.autotune.trial import LEAST_STEPS, Work, run_trial
from convscope.training.loop.state import batches_of, loop_settings
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.start import resumed_network

# A shorter run is over before measuring has paid.
LEAST_RUN_SECONDS = 60.0
# Measuring takes this share of the run, and at most this number of seconds.
SHARE_OF_RUN, MOST_SECONDS = 0.01, 30.0
# Modes that are tried on the way, about, each for its first step and LEAST_STEPS more.
MODES_TRIED = 5
# Images whose step times predict the length of the run: a few, and more where these finish within this many seconds.
# In a step of few, what each step costs whatever its size makes fast networks look slow, and measuring them long.
PILOT_IMAGES, MORE_PILOT_IMAGES, PILOT_SECONDS = 8, 64, 2.0
# The slowest mode takes about this many times as long as the one of the rules, and must fit into its share as well.
SLOWEST = 3


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A resolved recipe with the plan in it; `lines` report what was found, and are empty where the rules stay."""

    resolved: ResolvedRecipe
    plan: ComputePlan | None
    lines: tuple[str, ...]


def make_plan(
    asked: Recipe,
    resolved: ResolvedRecipe,
    spec: ModelSpec,
    train: ImageSet,
    *,
    alone: bool = True,
    cache_directory: Path | None = None,
) -> Planned:
    """Find the fastest mode among those that `asked` leaves open, and put it into the resolved recipe.

    Torch's generators, its threads and the images are left as found. A process that is not `alone` on its machine
    leaves the threads to the rules: the others, which wait while it measures, need theirs later.
    """
    unplanned = Planned(resolved=resolved, plan=None, lines=())
    open_fields = open_to_plan(asked) - (set() if alone else {"threads"})
    if asked.autotune == "rules" or not open_fields:
        return unplanned
    directory = cache_directory or default_cache_directory()
    with exclusive(resolved.device):
        with torch.device("meta"):
            shapes = resumed_network(spec, resolved.recipe)
        key = plan_key(resolved, shapes, open_fields, images=len(train))
        plan = read_plan(directory, key) if asked.autotune != "measure" else None
        known = plan is not None
        if plan is None:
            work = work_of(resolved, spec, train)
            plan = _measured(work, resolved, open_fields, images=len(train), always=asked.autotune == "measure")
    if plan is None:
        return unplanned
    if not known and not plan.noisy:
        keep_plan(directory, key, plan)
    first, *rest = plan.lines()
    lines = (f"{first}{' (measured before)' if known else ''}", *rest)
    return Planned(resolved=_with_mode(resolved, plan.mode), plan=plan, lines=lines)


def open_to_plan(recipe: Recipe) -> frozenset[str]:
    """Return the settings that a plan may choose: those of a mode that are auto."""
    names = {item.name for item in fields(ComputeMode) if getattr(recipe, item.name) == AUTO}
    return frozenset(names - {"precision"} if recipe.autotune == "fp32" else names)


def plan_key(
    resolved: ResolvedRecipe, network: nn.Module, open_fields: frozenset[str], *, images: int
) -> dict[str, object]:
    """Return the key of a plan: the machine, the work, and the settings at auto."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    recipe = resolved.recipe
    machine = this_machine()
    fixed = {name: value for name, value in asdict(resolved.mode).items() if name not in open_fields}
    return {
        "machine": asdict(machine),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if resolved.device == "cuda" else resolved.device,
        "most_threads": torch.get_num_threads(),
        "model": recipe.model,
        "options": recipe.model_options,
        "frozen": recipe.freeze,
        "shapes": hashlib.sha256(json.dumps(shapes).encode()).hexdigest(),
        "image": [resolved.decoding.channels, *resolved.decoding.size],
        "batch_size": resolved.batch_size,
        "optimizer": recipe.optimizer,
        "open": sorted(open_fields),
        "fixed": fixed,
        # A run of twice the length may pay for what a shorter one does not.
        "length": (images * resolved.epochs).bit_length(),
    }


def work_of(resolved: ResolvedRecipe, spec: ModelSpec, train: ImageSet) -> Work:
    """Return a fresh network of the run's and the batch of its first step, at full size."""
    settings = loop_settings(resolved, spec, train)
    batches = replace(batches_of(settings, train), progressive_resize_share=0.0)
    return Work(network=resumed_network(spec, resolved.recipe), settings=settings, batch=batches.first())


def _measured(
    work: Work, resolved: ResolvedRecipe, open_fields: frozenset[str], *, images: int, always: bool
) -> ComputePlan | None:
    """Return the plan by the clock, or None where the run is too short for it or the network does not run in fp32."""
    pilot = _pilot(work, resolved.mode)
    if pilot.dropped:
        return None
    left = images * resolved.epochs
    run_seconds = left / pilot.images_per_second
    if run_seconds < LEAST_RUN_SECONDS and not always:
        return None
    budget = MOST_SECONDS if always else min(MOST_SECONDS, SHARE_OF_RUN * run_seconds)
    each = budget / MODES_TRIED
    # A batch small enough that every mode has its steps in its share of the time.
    part = work.part(max(PILOT_IMAGES, int(pilot.images_per_second * each / (LEAST_STEPS + 1) / SLOWEST)))
    began = time.perf_counter()
    return search(
        what_may_be_chosen(resolved, open_fields, images_left=left, run_seconds=run_seconds),
        lambda mode: run_trial(part, mode, seconds=each),
        in_time=lambda: time.perf_counter() - began < budget,
    )


def _pilot(work: Work, mode: ComputeMode) -> ModeTrial:
    """Measure the speed of the default mode, from few steps and images."""
    few = run_trial(work.part(PILOT_IMAGES), mode, seconds=0.0)
    more = min(MORE_PILOT_IMAGES, len(work.batch.pixels))
    if few.dropped or more <= PILOT_IMAGES or (LEAST_STEPS + 1) * more > PILOT_SECONDS * few.images_per_second:
        return few
    return run_trial(work.part(more), mode, seconds=0.0)


def what_may_be_chosen(
    resolved: ResolvedRecipe, open_fields: frozenset[str], *, images_left: int, run_seconds: float
) -> Choices:
    """Return the modes that the device supports, and those to try."""
    on_gpu = resolved.device == "cuda"
    arithmetics: list[Precision] = ["tf32"] if has_tf32(resolved.device) else []
    if has_bf16(resolved.device):
        arithmetics.append("bf16")
    # On a CPU compiled convolutions call the same kernels: nothing to gain, and a minute to lose.
    compiles: tuple[Compile, ...] = ("yes", "graphs") if on_gpu and run_seconds >= COMPILE_FROM_SECONDS else ()
    most = torch.get_num_threads() if resolved.device == "cpu" else 0
    return Choices(
        fixed=replace(resolved.mode, threads=most) if most and "threads" in open_fields else resolved.mode,
        open=open_fields,
        arithmetics=tuple(arithmetics),
        most_threads=most,
        compiles=compiles,
        images_left=images_left,
    )


def _with_mode(resolved: ResolvedRecipe, mode: ComputeMode) -> ResolvedRecipe:
    # What the rules say of the precision does not hold for a mode that was measured.
    choices = tuple(choice for choice in resolved.choices if choice.setting != "precision")
    return replace(resolved.changed(**asdict(mode)), choices=choices)
