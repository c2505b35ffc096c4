"""Rates of a network that is not trained yet, measured on noise in a fraction of a second, and kept in the cache."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.files.regular import UnreadableError
from convscope.hardware.run_queue import CoreWait, core_wait
from convscope.training.autotune.kept import KeptFolder
from convscope.training.autotune.make import plan_key
from convscope.training.autotune.measured_costs import measured_rates
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.resolve.spec import spec_for
from convscope.training.timing.rates import Rates

RATES = KeptFolder(name="rates", content="rates", format=3, largest=100_000)
# Images of noise: no more are timed at once.
NOISE_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class KeptRates:
    """Rates as they are kept.

    Args:
        alone: as on this machine without other work.
        wait: for a core while they were measured: beside other work they are an estimate.
    """

    alone: Rates
    wait: CoreWait

    def is_replaced_by(self, other: KeptRates) -> bool:
        """Return whether other rates of the same network are kept instead.

        Those of a free machine replace an estimate, be they faster or slower, and slower ones of a free machine. An
        estimate replaces nothing but an estimate beside more work.
        """
        if other.wait.is_busy:
            return self.wait.share > other.wait.share and self.wait.is_busy
        return self.wait.is_busy or other.alone.of_step(NOISE_IMAGES) < self.alone.of_step(NOISE_IMAGES)


def known_rates(resolved: ResolvedRecipe, directory: Path) -> Rates | None:
    """Return the rates that were kept for this machine and network, or None."""
    kept = _read(directory, _key(resolved))
    return None if kept is None else kept.alone


def certain_rates(resolved: ResolvedRecipe, directory: Path) -> Rates | None:
    """Return the rates that were kept, unless they are an estimate beside other work; or None."""
    kept = _read(directory, _key(resolved))
    return None if kept is None or kept.wait.is_busy else kept.alone


@dataclass(frozen=True, kw_only=True)
class MeasuredRates:
    """Rates that were measured now.

    Args:
        alone: as on this machine without other work; beside other work those that were kept of the free machine, or an
            estimate by the time that steps waited for a core.
        delay: how many times as long everything takes beside the work that is there now, at least 1.
    """

    alone: Rates
    delay: float = 1.0


def rates_on_noise(resolved: ResolvedRecipe, *, effort: float, directory: Path) -> MeasuredRates:
    """Measure the rates of a network now, for this share of the usual time; the fastest of a free machine are kept."""
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
    key = _key(resolved)
    kept, found = _read(directory, key), KeptRates(alone=rates.times(wait.of_time_alone), wait=wait)
    if kept is None or kept.is_replaced_by(found):
        RATES.keep(directory, key, {"waited": wait.share, "alone": found.alone.to_dict()})
    if wait.is_busy and kept is not None and not kept.wait.is_busy and kept.alone.of_step(NOISE_IMAGES) > 0:
        delay = rates.of_step(NOISE_IMAGES) / kept.alone.of_step(NOISE_IMAGES)
        return MeasuredRates(alone=kept.alone, delay=max(1.0, delay))
    return MeasuredRates(alone=found.alone, delay=1 / wait.of_time_alone)


def _read(directory: Path, key: dict[str, object]) -> KeptRates | None:
    """Return what was kept under a key, or None."""
    kept = RATES.read(directory, key)
    with suppress(UnreadableError):
        if kept is not None:
            waited = kept.number("waited", at_least=0, at_most=1)
            return KeptRates(alone=Rates.from_fields(kept.object("alone")), wait=CoreWait(waited))
    return None


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
