"""What every training opens before its first step, an ablation's and the range test's as well: images, card, torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convscope.data.batches import measure_normalization
from convscope.data.open import BUILT_IN, Probe, open_dataset
from convscope.data.pixels.cache_budget import CacheFullError
from convscope.data.preprocessing import Preprocessing
from convscope.data.records import Dataset, ImageSet
from convscope.errors import DataError, RunError
from convscope.hardware.mode import computing
from convscope.hardware.rank import Rank
from convscope.nets.modules import preserved_rng
from convscope.report.printable import first_and_last, quoted_where_blank
from convscope.runs.events import Listener
from convscope.runs.model_spec import ModelSpec
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.start import network_options


def lasting_source(found: Probe) -> str:
    """The source as it can be found again from another folder."""
    return found.source if found.source in BUILT_IN else os.path.realpath(found.source)


def open_images(
    found: Probe, resolved: ResolvedRecipe, listener: Listener, cache_directory: Path | None
) -> tuple[Dataset, ImageSet]:
    """The images of a settled recipe, and those to train on. Raises RunError where there are none."""
    recipe = resolved.recipe
    streamed = recipe.stream == "yes"
    try:
        dataset = open_dataset(
            found,
            decoding=resolved.decoding,
            validation_fraction=recipe.held_back,
            test_fraction=recipe.test_fraction,
            seed=recipe.seed_of_split,
            strict=recipe.strict,
            verify=recipe.verify,
            cache_directory=cache_directory,
            progress=listener.progressed,
            stream=streamed,
            processes=Rank.of().local_size,
        )
    except CacheFullError as error:
        kept = "hold back fewer" if streamed else "train with --stream yes, which keeps no training image decoded"
        raise DataError(f"{error}, or {kept}") from None
    if dataset.train is None or not len(dataset.train):
        raise RunError(f"{recipe.data} has no images to train on: put them in class folders, or in train/ by class")
    return dataset, dataset.train


def spec_of(resolved: ResolvedRecipe, dataset: Dataset, train: ImageSet) -> ModelSpec:
    """What is to be trained, and how images are prepared for it."""
    return ModelSpec(
        name=str(resolved.recipe.model),
        options=network_options(resolved.recipe),
        preprocessing=Preprocessing(
            decoding=resolved.decoding, normalization=measure_normalization(train), classes=dataset.classes
        ),
        loss=resolved.recipe.loss,
        tta=resolved.recipe.tta,
    )


def data_lines(dataset: Dataset) -> Iterator[str]:
    """Say what was read: the source, its images, its classes, and what the reader should know of them."""
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts.items())
    yield f"data: {dataset.source}: {len(dataset.classes)} classes, images: {counts}"
    yield f"classes: {first_and_last(map(quoted_where_blank, dataset.classes))}"
    yield from dataset.notes


@contextmanager
def own_torch(resolved: ResolvedRecipe) -> Iterator[None]:
    """Our own generators, thread count and arithmetic inside; the user's are put back."""
    with preserved_rng(resolved.device), computing(resolved.mode, resolved.device):
        yield
