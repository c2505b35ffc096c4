"""A machine's check-up: what it is, its ceilings, and what a network's training reaches of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from itertools import count
from typing import Annotated, Any

import numpy as np
import torch

from convscope.api.annotations import AtLeast
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.capture.capture import capture
from convscope.data.pixels.cache_budget import cache_directory
from convscope.data.records import LARGEST_SIDE, Dataset, ImageSet
from convscope.errors import RunError
from convscope.experiments.doctor import SILENT_PROFILER
from convscope.experiments.doctor.breakdown import time_by_kind
from convscope.experiments.doctor.ceilings import Ceilings, measure_ceilings
from convscope.experiments.doctor.record import Checkup, Reached
from convscope.graph.figures import TrainingMacs, training_macs
from convscope.hardware.allocator import huge_pages_taken, prepare_memory
from convscope.hardware.device import most_threads, usable_device
from convscope.hardware.machine import available_memory, load_of_others, this_machine
from convscope.nets import catalogue
from convscope.nets.own_code import is_own
from convscope.recipe.presets import table
from convscope.recipe.recipe import Recipe
from convscope.report.progress import ProgressOption, progress_of
from convscope.report.usage import setting_name
from convscope.runs.events import Silent
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune.make import work_of
from convscope.training.autotune.trial import run_trial
from convscope.training.opening import Opening
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.session import Session, prepare
from convscope.training.start import resumed_network

MODEL = "cifarnet"
# Images are grey or coloured.
CHANNELS = (1, 3)
# A set that is worth training fast.
MANY_IMAGES = 50_000
# From this difference between runs of one thing, or this load a core, figures are marked as those of a busy machine.
BUSY_SPREAD, BUSY_LOAD = 0.3, 0.3
TIMED_SECONDS = 3.0
STAGES = 2  # the machine, then a training
_log = logging.getLogger("convscope")


@public
@exclusive()  # it draws from the global generators, and is to measure alone
def doctor(
    model: str = MODEL,
    *,
    input_shape: Sequence[int] | None = None,
    batch_size: Annotated[int, AtLeast(2)] | None = None,
    device: str = "auto",
    progress: ProgressOption = False,
) -> Checkup:
    """Measure this machine: arithmetic, memory, decoding, disk; and the share of it that training reaches.

    It takes less than a minute. Other work on the machine falsifies the figures, and is reported.

    Args:
        model: name of the network whose training is measured.
        input_shape: (channels, height, width) of its input; the network's own unless given.
        batch_size: images per step; as for 50,000 images unless given.
        device: "auto", "cpu" or "cuda".
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        CaptureError: no such network.
        RunError: a shape that is not channels, height and width, or a device that is not there.
    """
    os.environ.setdefault(*SILENT_PROFILER)
    shape = None if input_shape is None else tuple(input_shape)
    said = count()
    with progress_of(progress) as report:

        def say(line: str) -> None:
            _log.info(line)
            report(min(next(said), STAGES), STAGES, "checking the machine")

        found = check_up(model, input_shape=shape, batch_size=batch_size, device=device, say=say)
        report(STAGES, STAGES, "checking the machine")
        return found


def check_up(
    model: str = MODEL,
    *,
    input_shape: tuple[int, ...] | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    scale: float = 1.0,
) -> Checkup:
    """Measure this machine and a network's training on it, in less than a minute; `scale` shortens the first part.

    Raises:
        CaptureError: no such network.
        RunError: a shape that is not channels, height and width, or a device that is not there.
    """
    allocation = prepare_memory()
    device = usable_device(device)
    load = load_of_others()
    session = _session(model, input_shape, batch_size, device)
    for notice in session.notices:
        if notice.topic == "memory":
            say(notice.text)
    say("measuring the machine")
    ceilings = measure_ceilings(cache_directory(), device=device, scale=scale)
    say(f"training {model}")
    reached = _reached(session, ceilings, scale)
    machine = this_machine()
    return Checkup(
        machine=machine,
        available=available_memory(),
        torch=torch.__version__,
        capability=torch.backends.cpu.get_cpu_capability(),
        backends={name: bool(there()) for name, there in _BACKENDS.items()},
        threads=most_threads(),
        gpu=torch.cuda.get_device_name() if device == "cuda" else None,
        allocation=allocation,
        huge_pages=_huge_pages_come(),
        ceilings=ceilings,
        reached=reached,
        warnings=tuple(_warnings(load, machine.cores, ceilings, reached)),
    )


# torch's functions have no types.
_BACKENDS: dict[str, Callable[[], Any]] = {
    "oneDNN": torch.backends.mkldnn.is_available,
    "MKL": torch.backends.mkl.is_available,
    "OpenMP": torch.backends.openmp.is_available,
    "CUDA": torch.cuda.is_available,
}


def _session(model: str, input_shape: tuple[int, ...] | None, batch_size: int | None, device: str) -> Session:
    """Open the training of a network on noise, with the settings that a run on many images would have."""
    if is_own(model) and input_shape is None:
        raise RunError(f"{model} does not say what it takes: give {setting_name('input_shape')}, such as 3x224x224")
    shape = input_shape or catalogue.find(model).input_shape
    _require_image(model, shape, given=input_shape is not None)
    recipe = Recipe(
        data="digits",
        model=model,
        channels=shape[0],
        image_size=f"{shape[1]}x{shape[2]}",
        batch_size=batch_size or table(Recipe().preset, model).budget.batch_size_for(MANY_IMAGES),
        random_crop_padding=0,
        autotune="measure",
        device=device,  # type: ignore[arg-type]  # `usable_device` has checked it
    )
    return prepare(recipe, Opening(listener=Silent(), of_run=True, images=_noise))


def _noise(resolved: ResolvedRecipe) -> Dataset:
    """Return one batch of noise, with ten classes as the digits have."""
    shape = (resolved.batch_size, *resolved.decoding.image_shape)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    names = [str(number) for number in range(len(pixels))]
    return Dataset(
        source="noise",
        kind="noise",
        classes=tuple(map(str, range(10))),
        decoding=resolved.decoding,
        train=ImageSet(images=pixels, labels=np.arange(len(pixels)) % 10, names=names),
        val=None,
        test=None,
    )


def _require_image(model: str, shape: tuple[int, ...], *, given: bool) -> None:
    """Raise RunError unless the shape is that of an image that a network can be trained on."""
    shown = "x".join(map(str, shape))
    whose, remedy = (
        (f"{setting_name('input_shape')} is", "give another")
        if given
        else (f"the input of {model} is", "choose another network")
    )
    if len(shape) != 3:
        raise RunError(f"{whose} {shown}: training is measured on channels, height and width, like 3x224x224; {remedy}")
    if shape[0] not in CHANNELS:
        raise RunError(f"{whose} {shown}, so {shape[0]} channels: images have 1 (grey) or 3 (colour); {remedy}")
    if not all(1 <= side <= LARGEST_SIDE for side in shape[1:]):
        raise RunError(f"{whose} {shown}: a side is outside 1 to {LARGEST_SIDE} pixels; {remedy}")


def _reached(session: Session, ceilings: Ceilings, scale: float) -> Reached:
    resolved = session.resolved
    work = work_of(resolved, session.spec, session.train)
    trial = run_trial(work, resolved.mode, seconds=TIMED_SECONDS * scale)
    if trial.dropped:
        raise RunError(
            f"{resolved.model} at batch size {resolved.batch_size} {trial.dropped}: "
            f"take a smaller {setting_name('batch_size')}"
        )
    macs = _training_macs(resolved, session.spec)
    return Reached(
        model=resolved.model,
        input_shape=resolved.architecture.input_shape,
        batch_size=resolved.batch_size,
        macs=macs,
        plan=session.plan,
        trial=trial,
        share_of_peak=trial.images_per_second * macs.flops / ceilings.peak(resolved.mode.precision),
        time_by_kind=time_by_kind(work, resolved.mode),
    )


def _training_macs(resolved: ResolvedRecipe, spec: ModelSpec) -> TrainingMacs:
    network = resumed_network(spec, resolved.recipe.freeze)
    return training_macs(
        capture(network, resolved.architecture.input_shape, batch_size=2, name=spec.name, mode="train")
    )


def _huge_pages_come() -> bool | None:
    """Return whether torch's memory lies in huge pages, seen on a piece of it."""
    block = torch.zeros(8 * 2**20)
    return huge_pages_taken(block.data_ptr() + block.nbytes // 2)


def _warnings(load: float | None, cores: int, ceilings: Ceilings, reached: Reached) -> list[str]:
    lines = []
    if load is not None and load > BUSY_LOAD * cores:
        lines.append(
            f"the machine was busy before the check-up: {load:.1f} processes on {cores} cores; all rates are too low"
        )
    spread = max(ceilings.spread, reached.trial.spread)
    if spread > BUSY_SPREAD:
        lines.append(f"repeated runs differ by up to {spread:.0%}: something else was running, or clocks changed")
    if reached.macs.uncounted:
        lines.append(f"{reached.macs.uncounted} operations are not counted, so the share of the peak is too low")
    return lines
