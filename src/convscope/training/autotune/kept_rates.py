"""Rates of a network that is not trained yet, measured on noise in a fraction of a second, and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.files.checked import read_json
from convscope.files.regular import UnreadableError
from convscope.nets.own_code import is_own, source_of, without_folders
from convscope.runs.atomic_files import write_file
from convscope.runs.model_spec import ModelSpec
from convscope.training.autotune.make import plan_key
from convscope.training.autotune.measured_costs import measured_rates
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.timing.rates import Rates

# They are kept in this folder of the cache, one JSON file for each machine and work.
FORMAT, FOLDER, LARGEST_FILE = 1, "rates", 100_000
# Images of noise: no more are timed at once.
NOISE_IMAGES = 64


def known_rates(resolved: ResolvedRecipe, directory: Path) -> Rates | None:
    """Return the rates that were kept for this machine and network, or None."""
    key = _key(resolved)
    return read_rates(rates_path(directory, key), key)


def rates_on_noise(resolved: ResolvedRecipe, *, effort: float, directory: Path) -> Rates:
    """Measure the rates of a network now, for this share of the usual time, and keep the fastest ever."""
    rates = measured_rates(
        resolved.changed(batch_size=min(resolved.batch_size, NOISE_IMAGES)),
        _spec(resolved),
        _noise(resolved),
        images=None,
        effort=effort,
        fastest=True,
    )
    key = _key(resolved)
    path = rates_path(directory, key)
    kept = read_rates(path, key)
    if kept is None or rates.steps[-1][1] < kept.steps[-1][1]:
        with suppress(OSError, RunError):  # where the folder can't be written, they are measured again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, json.dumps({"format": FORMAT, "key": key, "rates": rates.to_dict()}, indent=2) + "\n")
    return rates


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


def rates_path(directory: Path, key: Mapping[str, object]) -> Path:
    """Return the path of the rates for this machine and work."""
    digest = hashlib.sha256(json.dumps([FORMAT, key], sort_keys=True).encode()).hexdigest()
    return directory / FOLDER / f"{digest[:32]}.json"


def read_rates(path: Path, key: Mapping[str, object]) -> Rates | None:
    """Return the rates in a file that was kept for this machine and work, or None."""
    try:
        kept = read_json(path, limit=LARGEST_FILE)
        # JSON makes lists of tuples: both sides are compared as JSON has them.
        if kept.integer("format") != FORMAT or kept.value("key") != json.loads(json.dumps(key)):
            return None
        return Rates.from_fields(kept.object("rates"))
    except UnreadableError:
        return None


def _noise(resolved: ResolvedRecipe) -> ImageSet:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (NOISE_IMAGES, *resolved.decoding.image_shape), dtype=np.uint8)
    labels = np.arange(NOISE_IMAGES, dtype=np.int64) % resolved.classes
    targets = None
    if resolved.loss == "multi-label":
        targets = draw.integers(0, 2, (NOISE_IMAGES, resolved.classes), dtype=np.uint8)
    return ImageSet(pixels, labels, [str(number) for number in range(NOISE_IMAGES)], targets)


def _spec(resolved: ResolvedRecipe) -> ModelSpec:
    own = is_own(resolved.model)
    return ModelSpec(
        name=without_folders(resolved.model),
        options=resolved.architecture.options,
        preprocessing=Preprocessing(
            decoding=resolved.decoding,
            normalization=resolved.normalization or Normalization.default(resolved.decoding.channels),
            classes=tuple(map(str, range(resolved.classes))),
        ),
        loss=resolved.loss,
        source=source_of(resolved.model) if own else None,
        code=resolved.model if own else "",
    )
