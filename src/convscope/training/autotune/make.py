"""The plan of a run: known from before, measured now, or left to the rules where measuring would not pay."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch

from convscope.api.generators import exclusive
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.records import ImageSet
from convscope.hardware.device import has_bf16, has_tf32, most_threads
from convscope.hardware.machine import this_machine
from convscope.hardware.mode import Compile, ComputeMode, Precision
from convscope.nets.build import Architecture
from convscope.nets.own_code import identity
from convscope.recipe.recipe import Recipe
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune.record import PLANS, ComputePlan, ModeTrial, read_plan
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
    most_seconds: float = math.inf,
) -> Planned:
    """Find the fastest mode among those that `asked` leaves open, and put it into the resolved recipe.

    Torch's generators, its threads and the images are left as found. A process that is not `alone` on its machine
    leaves the threads to the rules: the others, which wait while it measures, need theirs later. A run ends within
    `most_seconds`, however many epochs it has.
    """
    unplanned = Planned(resolved=resolved, plan=None, lines=())
    open_fields = open_to_plan(asked.left_open, asked.autotune) - (set() if alone else {"threads"})
    if asked.autotune == "rules" or not open_fields:
        return unplanned
    directory = cache_directory or default_cache_directory()
    with exclusive(resolved.device):
        key = plan_key(
            resolved.architecture,
            resolved.mode,
            open_fields,
            device=resolved.device,
            batch_size=resolved.batch_size,
            optimizer=resolved.optimizer,
            images_in_all=len(train) * resolved.epochs,
        )
        plan = read_plan(directory, key) if asked.autotune != "measure" else None
        known = plan is not None
        if plan is None:
            work = work_of(resolved, spec, train)
            plan = _measured(
                work,
                open_fields,
                images=len(train),
                always=asked.autotune == "measure",
                most_seconds=most_seconds,
            )
    if plan is None:
        return unplanned
    if not known and not plan.noisy:
        PLANS.keep(directory, key, plan.to_dict())
    first, *rest = plan.lines()
    lines = (f"{first}{' (measured before)' if known else ''}", *rest)
    return Planned(resolved=resolved.in_mode(plan.mode), plan=plan, lines=lines)


def open_to_plan(at_auto: frozenset[str], autotune: str) -> frozenset[str]:
    """Return the settings that a plan may choose: those of a mode that are at auto.

    >>> sorted(open_to_plan(frozenset({"epochs", "precision", "threads"}), "fp32"))
    ['threads']
    """
    names = at_auto & {item.name for item in fields(ComputeMode)}
    return names - {"precision"} if autotune == "fp32" else names


def plan_key(
    architecture: Architecture,
    mode: ComputeMode,
    open_fields: frozenset[str],
    *,
    device: str,
    batch_size: int,
    optimizer: str,
    images_in_all: int,
) -> dict[str, object]:
    """Return the key of a plan: the machine, the work, and the settings at auto."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in architecture.on_meta().state_dict().items()]
    return {
        "machine": asdict(this_machine()),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "most_threads": most_threads(),
        "model": identity(architecture.name),
        "options": dict(architecture.options),
        "frozen": architecture.freeze,
        "shapes": hashlib.sha256(json.dumps(shapes).encode()).hexdigest(),
        "image": list(architecture.input_shape),
        "batch_size": batch_size,
        "optimizer": optimizer,
        "open": sorted(open_fields),
        "fixed": {name: value for name, value in asdict(mode).items() if name not in open_fields},
        # A run of twice the length may pay for what a shorter one does not.
        "length": images_in_all.bit_length(),
    }


def work_of(resolved: ResolvedRecipe, spec: ModelSpec, train: ImageSet) -> Work:
    """Return a fresh network of the run's and the batch of its first step, at full size."""
    settings = loop_settings(resolved, spec, train)
    batches = replace(batches_of(settings, train), progressive_resize_share=0.0)
    return Work(network=resumed_network(spec, resolved.recipe.freeze), settings=settings, batch=batches.first())


def _measured(
    work: Work, open_fields: frozenset[str], *, images: int, always: bool, most_seconds: float = math.inf
) -> ComputePlan | None:
    """Return the plan by the clock, or None where the run is too short for it or the network does not run in fp32."""
    resolved = work.settings.resolved
    pilot = _pilot(work, resolved.mode)
    if pilot.dropped:
        return None
    left, speed = images * resolved.epochs, pilot.images / pilot.seconds_alone
    run_seconds = min(left / speed, most_seconds)
    if run_seconds < LEAST_RUN_SECONDS and not always:
        return None
    budget = MOST_SECONDS if always else min(MOST_SECONDS, SHARE_OF_RUN * run_seconds)
    each = budget / MODES_TRIED
    # A batch small enough that every mode has its steps in its share of the time.
    part = work.part(max(PILOT_IMAGES, int(speed * each / (LEAST_STEPS + 1) / SLOWEST)))
    began = time.perf_counter()
    return search(
        what_may_be_chosen(resolved.mode, open_fields, resolved.device, images_left=left, run_seconds=run_seconds),
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
    mode: ComputeMode, open_fields: frozenset[str], device: str, *, images_left: int, run_seconds: float
) -> Choices:
    """Return the modes that the device supports, and those to try."""
    on_gpu = device == "cuda"
    arithmetics: list[Precision] = ["tf32"] if has_tf32(device) else []
    if has_bf16(device):
        arithmetics.append("bf16")
    # On a CPU compiled convolutions call the same kernels: nothing to gain, and a minute to lose.
    compiles: tuple[Compile, ...] = ("yes", "graphs") if on_gpu and run_seconds >= COMPILE_FROM_SECONDS else ()
    most = most_threads() if device == "cpu" else 0
    return Choices(
        fixed=replace(mode, threads=most) if most and "threads" in open_fields else mode,
        open=open_fields,
        arithmetics=tuple(arithmetics),
        most_threads=most,
        compiles=compiles,
        images_left=images_left,
    )
