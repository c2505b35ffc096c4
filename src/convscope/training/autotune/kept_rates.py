"""Rates of a network that is not trained yet, measured on noise in a fraction of a second, and kept in the cache."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.files.regular import UnreadableError
from convscope.hardware.run_queue import core_wait
from convscope.training.autotune.kept import KeptFolder
from convscope.training.autotune.make import plan_key
from convscope.training.autotune.measured_costs import measured_rates
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.resolve.spec import spec_for
from convscope.training.timing.rates import Rates

RATES = KeptFolder(name="rates", content="rates", format=1, largest=100_000)
# Images of noise: no more are timed at once.
NOISE_IMAGES = 64


def known_rates(resolved: ResolvedRecipe, directory: Path) -> Rates | None:
    """Return the rates that were kept for this machine and network, or None."""
    kept = RATES.read(directory, _key(resolved))
    with suppress(UnreadableError):
        return None if kept is None else Rates.from_fields(kept)
    return None


@dataclass(frozen=True, kw_only=True)
class MeasuredRates:
    """Rates that were measured now.

    Args:
        alone: as on this machine without other work, by the time that steps waited for a core.
        delay: how many times as long everything takes beside the work that is there now, at least 1.
    """

    alone: Rates
    delay: float = 1.0


def rates_on_noise(resolved: ResolvedRecipe, *, effort: float, directory: Path) -> MeasuredRates:
    """Measure the rates of a network now, for this share of the usual time, and keep the fastest ever."""
    with core_wait() as wait:
        rates = measured_rates(
            resolved.changed(batch_size=min(resolved.batch_size, NOISE_IMAGES)),
            spec_for(
                resolved,
                normalization=resolved.normalization or Normalization.default(resolved.decoding.channels),
                classes=tuple(map(str, range(resolved.classes))),
            ),
            _noise(resolved),
            images=None,
            effort=effort,
            fastest=True,
        )
    alone = rates.times(wait.of_time_alone)
    kept = known_rates(resolved, directory)
    # Of a busy machine, they are too rough to be kept in place of others.
    if kept is None or (not wait.is_busy and rates.steps[-1][1] < kept.steps[-1][1]):
        RATES.keep(directory, _key(resolved), alone.to_dict())
    return MeasuredRates(alone=alone, delay=1 / wait.of_time_alone)


def _key(resolved: ResolvedRecipe) -> dict[str, object]:
    return plan_key(
        resolved.architecture,
        resolved.mode,
        frozenset(),
        device=resolved.device,
        batch_size=NOISE_IMAGES,
        optimizer=resolved.optimizer,
        images_in_all=0,
    )


def _noise(resolved: ResolvedRecipe) -> ImageSet:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (NOISE_IMAGES, *resolved.decoding.image_shape), dtype=np.uint8)
    labels = np.arange(NOISE_IMAGES, dtype=np.int64) % resolved.classes
    targets = None
    if resolved.loss == "multi-label":
        targets = draw.integers(0, 2, (NOISE_IMAGES, resolved.classes), dtype=np.uint8)
    return ImageSet(pixels, labels, [str(number) for number in range(NOISE_IMAGES)], targets)
