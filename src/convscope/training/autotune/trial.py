"""A few training steps in one mode, timed: the loop's own step, on a network of the same shapes and real images."""

from __future__ import annotations

import copy
import math
import statistics
import time
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from convscope.api.generators import exclusive
from convscope.data.training_batches import TrainingBatch
from convscope.hardware.mode import ComputeMode, computing
from convscope.hardware.run_queue import core_wait
from convscope.nets.layer_groups import train_mode
from convscope.training.autotune.record import ModeTrial
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.nonfinite import largest_gradient
from convscope.training.loop.state import Settings, new_state
from convscope.training.loop.step import descend, differentiate, losses_of
from convscope.training.optim.optimizers import set_rate
from convscope.training.optim.schedule import START_FACTOR

# The first step takes memory, makes kernels and compiles; the least and the most steps that are timed after it.
LEAST_STEPS, MOST_STEPS = 3, 20
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is timed: a fresh network (which stays as it is), the loop's settings, and a batch of real images.

    The batch is as the training's, but with images of full size: progressive resizing ends early in a run.
    """

    network: nn.Module
    settings: Settings
    batch: TrainingBatch

    def part(self, images: int) -> Work:
        """Return the same with fewer images a step."""
        pixels, targets = self.batch.pixels[:images], self.batch.targets[:images]
        return replace(self, batch=TrainingBatch(pixels, targets, len(pixels)))


def run_trial(work: Work, mode: ComputeMode, *, seconds: float) -> ModeTrial:
    """Time steps in a mode for about this many seconds; torch's generators, threads and the network are left as found.

    A mode that does not run here is dropped with the reason.
    """
    images = len(work.batch.pixels)
    try:
        device = work.settings.resolved.device
        with exclusive(device), computing(mode, device), core_wait() as wait:
            taken, losses = _steps(work, mode, seconds)
    except (
        RuntimeError,
        ImportError,
        OSError,
    ) as error:  # torch's own, out of memory and a missing compiler among them
        reason = f"does not run here ({_first_line(error)})"
        return ModeTrial(
            mode=mode, images=images, images_per_second=0.0, spread=0.0, first_step=0.0, losses=(), dropped=reason
        )
    first, *later = taken
    median = statistics.median(later)
    finite = all(map(math.isfinite, losses[:LEAST_STEPS]))
    return ModeTrial(
        mode=mode,
        images=images,
        images_per_second=images / max(median, 1e-9),
        spread=(max(later) - min(later)) / max(median, 1e-9),
        first_step=first,
        losses=tuple(losses[:LEAST_STEPS]) if finite else (),
        dropped="" if finite else "its loss is not a number",
        fastest_step=min(later),
        waited=wait.share,
    )


def _steps(work: Work, mode: ComputeMode, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds and losses of the steps; the learning rate is the one that a run begins with."""
    torch.manual_seed(SEED)
    settings = work.settings
    resolved = settings.resolved.changed(**asdict(mode))
    state = new_state(copy.deepcopy(work.network), resolved)
    train_mode(state.network)
    set_rate(state.optimizer, lambda until: resolved.learning_rate * START_FACTOR)
    taken: list[float] = []
    losses: list[float] = []
    while len(taken) <= LEAST_STEPS or (sum(taken) < seconds and len(taken) <= MOST_STEPS):
        began = time.perf_counter()
        output = differentiate(state, settings.objective, work.batch)
        with torch.no_grad():  # a step of the training measures this too
            measured = *losses_of(output, settings.objective, work.batch), largest_gradient(state.network)
            losses.append(ProcessGroup().add_up(state.network, measured)[0])
        descend(state, gradient_clip=resolved.gradient_clip)
        if resolved.device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return taken, losses


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
