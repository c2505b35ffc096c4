"""A batch that fits the memory: computed beforehand where that is possible, halved where a step does not fit.

Linux kills a process that takes too much, so on a CPU there is nothing to catch: what a step needs is worked out
beforehand. On a GPU the device refuses, and that is caught.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import prod
from typing import TypeVar

import torch
from torch import nn

from convscope.capture.capture import training_memory
from convscope.data.open import Probe
from convscope.data.streamed import held_bytes
from convscope.errors import CaptureError, RunError
from convscope.graph.memory import OptimizerKind
from convscope.hardware.machine import available_memory
from convscope.hardware.memory_errors import is_out_of_memory
from convscope.nets.build import Architecture
from convscope.nets.layer_groups import freeze
from convscope.nets.modules import has_batch_norm
from convscope.recipe.presets import preset_values
from convscope.recipe.setting import AUTO
from convscope.report.units import byte_size, plural
from convscope.report.usage import setting_name
from convscope.training.optim.optimizers import default_learning_rate
from convscope.training.resolve.budget import learning_rate, require_batch
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe

# Of the memory that is free now, a training takes at most this share: kernels and the allocator need room of their own.
USABLE = 0.85
# No network of the catalogue keeps more bytes than this for each byte of its input (in float32), and numbers for
# each weight: where so much fits, nothing needs to be worked out.
MOST_PER_INPUT_BYTE, MOST_PER_WEIGHT = 2000, 8
# Batch normalisation needs two.
LEAST_BATCH = 2

Tried = TypeVar("Tried")
Result = TypeVar("Result")
# Changes a network in place.
Surgery = Callable[[nn.Module], object]
# The state that an optimizer keeps, in the terms of `graph.memory`.
_STATE: dict[str, OptimizerKind] = {"sgd": "momentum", "muon": "momentum", "adamw": "adam"}
# How many numbers it keeps for each weight.
STATE_TENSORS = {"sgd": 1, "muon": 1, "adamw": 2}


def unchanged(network: nn.Module) -> None:
    """Change nothing in a network."""


def halved_to_fit(batch_size: int, needed: Callable[[int], int], limit: int) -> int:
    """Return the first of batch_size, its half, its quarter, ... whose bytes are within the limit, or 0 if none is.

    >>> halved_to_fit(500, lambda images: 10 * images, limit=1300), halved_to_fit(4, lambda images: 9, limit=8)
    (125, 0)
    """
    while batch_size >= LEAST_BATCH and needed(batch_size) > limit:
        batch_size //= 2
    return batch_size if needed(batch_size) <= limit else 0


def fit_to_memory(
    resolved: ResolvedRecipe,
    found: Probe,
    *,
    processes: int = 1,
    at_once: int = 1,
    surgeries: Sequence[Surgery] = (unchanged,),
) -> tuple[ResolvedRecipe, tuple[Notice, ...]]:
    """Return the recipe with a batch that the free memory holds, and what there is to say of it.

    `processes` share a batch; each of `at_once` trainings has its own. `surgeries` change the network, in
    place: the memory must hold a step of whichever needs most.

    Raises:
        RunError: not even two images fit.
    """
    limit = _usable(resolved.device)
    if limit is None:
        return resolved, ()
    if resolved.recipe.stream == "yes" and resolved.device == "cpu":
        # A stream's decoded images are held by a training on a CPU, for all of its processes.
        limit = max(0, limit - held_bytes(found.listing, resolved.decoding, resolved.batch_size))
    shape = resolved.architecture.input_shape
    if _surely_fits(resolved.batch_size * prod(shape), resolved.parameters, limit // at_once):
        return resolved, ()
    alone = _needed(
        resolved.architecture, surgeries, optimizer=resolved.optimizer, device=resolved.device, processes=processes
    )
    if alone is None:
        return resolved, ()

    def needed(images: int) -> int:
        return at_once * alone(images)

    taken = halved_to_fit(resolved.batch_size, needed, limit)
    if taken == resolved.batch_size:
        return resolved, ()
    shown = f"a step of {plural(resolved.batch_size, 'image')} needs about {byte_size(needed(resolved.batch_size))}"
    if at_once > 1:
        shown += f" in {at_once} trainings at once"
    room = f"{byte_size(limit)} can be taken"
    if not taken:
        fewer = f"fewer {setting_name('jobs')}, " if at_once > 1 else ""
        raise RunError(
            f"{shown}, {room}, and halving does not help: take {fewer}smaller images, a smaller network, or free memory"
        )
    smaller = with_batch(resolved, taken)
    return smaller, (
        Notice(topic="memory", message=f"{shown}, and {room}: {followed(smaller, resolved)}", level="warning"),
    )


def step_bytes(resolved: ResolvedRecipe, *, surgeries: Sequence[Surgery] = (unchanged,)) -> int | None:
    """Return the memory of one training step, of whichever network needs most; None if unknown."""
    needed = _needed(resolved.architecture, surgeries, optimizer=resolved.optimizer, device=resolved.device)
    return None if needed is None else needed(resolved.batch_size)


def most_at_once(resolved: ResolvedRecipe, *, surgeries: Sequence[Surgery] = (unchanged,)) -> int | None:
    """Return how many trainings' steps the free memory holds at once; None if unknown."""
    limit = _usable(resolved.device)
    needed = None if limit is None else step_bytes(resolved, surgeries=surgeries)
    return None if limit is None or needed is None else limit // needed


def with_batch(resolved: ResolvedRecipe, batch_size: int) -> ResolvedRecipe:
    """Return the recipe with a smaller batch; the learning rate, given or not, changes by the rule's own factor.

    Raises:
        RunError: a batch that is too small to train on.
    """
    recipe = resolved.recipe
    network = resolved.architecture.on_meta()
    require_batch(
        batch_size,
        resolved.batch_size,
        model=resolved.model,
        normalizes=has_batch_norm(network),
        synchronized=recipe.sync_batchnorm,
    )
    of_preset = preset_values(recipe.preset, model=resolved.model, loss=resolved.loss, optimizer=resolved.optimizer)
    given = of_preset.get("learning_rate")

    def rate(images: int) -> float:
        default = default_learning_rate(resolved.optimizer, images, network)
        return learning_rate(AUTO if given is None else float(given), default, trained=resolved.starts_trained).value

    factor = rate(batch_size) / rate(resolved.batch_size)
    return resolved.changed(batch_size=batch_size, learning_rate=float(f"{resolved.learning_rate * factor:.3g}"))


def followed(smaller: ResolvedRecipe, before: ResolvedRecipe) -> str:
    """Describe the change of the batch size and the learning rate."""
    rate = f"learning rate {smaller.learning_rate:g}"
    if smaller.learning_rate != before.learning_rate:
        rate += f" instead of {before.learning_rate:g}"
    return f"batch size {smaller.batch_size}, {rate}"


class OutOfMemoryError(RunError):
    """The memory does not hold a training step."""


def no_memory(resolved: ResolvedRecipe, *, remedy: str) -> OutOfMemoryError:
    """Return the error of a step that does not fit and can't be made smaller."""
    return OutOfMemoryError(f"the memory does not hold a step of {plural(resolved.batch_size, 'image')}: {remedy}")


def halved(resolved: ResolvedRecipe) -> tuple[ResolvedRecipe, Notice]:
    """Return the recipe with half the batch, after a step did not fit, and the notice of it.

    Raises:
        OutOfMemoryError: there is nothing left to halve.
    """
    if resolved.batch_size < 2 * LEAST_BATCH:
        raise no_memory(resolved, remedy="take smaller images or a smaller network")
    smaller = with_batch(resolved, resolved.batch_size // 2)
    message = f"it does not hold a step of {plural(resolved.batch_size, 'image')}: {followed(smaller, resolved)}"
    return smaller, Notice(topic="memory", message=message, level="warning")


def with_backoff(first: Tried, attempt: Callable[[Tried], Result], halve: Callable[[Tried, str], Tried]) -> Result:
    """Return what `attempt` makes of `first`, or of its half, its quarter, ... where a step does not fit the memory.

    `halve` is called with the error's text.
    """
    tried = first
    while True:
        try:
            return attempt(tried)
        except (RuntimeError, MemoryError, OutOfMemoryError) as error:
            if not isinstance(error, OutOfMemoryError) and not is_out_of_memory(error):
                raise
            refused = str(error)
        # Out of the handler: the error holds on to all that was in memory.
        tried = halve(tried, refused)


def _usable(device: str) -> int | None:
    """Return the bytes that training may take; None if unknown."""
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else available_memory() if device == "cpu" else None
    return None if free is None else int(free * USABLE)


def _surely_fits(pixels: int, weights: int, limit: int) -> bool:
    return 4 * (pixels * MOST_PER_INPUT_BYTE + weights * MOST_PER_WEIGHT) <= limit


def _needed(
    architecture: Architecture, surgeries: Sequence[Surgery], *, optimizer: str, device: str, processes: int = 1
) -> Callable[[int], int] | None:
    """Return the bytes of a training step by the size of the batch; None where a network can't be followed."""

    def network(surgery: Surgery) -> nn.Module:
        made = replace(architecture, freeze="").build()
        surgery(made)
        freeze(made, architecture.freeze)
        return made

    with suppress(CaptureError):
        memories = [training_memory(partial(network, surgery), architecture.input_shape) for surgery in surgeries]
        state = _STATE.get(optimizer, "adam")
        # The processes of a CPU share its memory; each GPU has its own.
        together = processes if device == "cpu" else 1

        def needed(images: int) -> int:
            share = -(-images // processes)
            return together * max(memory.at(share, optimizer=state).total for memory in memories)

        return needed
    return None
