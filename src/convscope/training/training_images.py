"""The images of a training: opened by its settings, with what there is to say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convscope.data.class_names import look_alikes_text
from convscope.data.open import open_dataset
from convscope.data.pixels.cache_budget import CacheFullError
from convscope.data.records import Dataset, Problem
from convscope.errors import DataError, RunError
from convscope.hardware.rank import Rank
from convscope.report.printable import first_and_last, quoted_where_blank
from convscope.report.units import plural
from convscope.report.usage import settings_text
from convscope.scoring.defect_rule import require_enough
from convscope.training.opening import Opening, Settled
from convscope.training.resolve.resolved_recipe import Notice
from convscope.training.timing.time_budget import progress_within


def open_images(settled: Settled, opening: Opening) -> Dataset:
    """Open the images of a training; its training part is not empty.

    Raises:
        DataError: the cache has no room for them.
        RunError: nothing to train on, too few defects to keep a miss rate, or no time to decode them.
    """
    resolved, found, resumed = settled.resolved, settled.found, opening.resumed
    recipe = resolved.recipe
    streamed = recipe.stream == "yes"
    shown = opening.listener.progressed
    try:
        dataset = open_dataset(
            found,
            # By the rules of the time, where the run is older than one of them.
            decoding=resolved.decoding if resumed is None else resumed.decoding,
            validation_fraction=recipe.held_back,
            test_fraction=recipe.test_fraction,
            seed=recipe.seed_of_split,
            strict=recipe.strict,
            verify=recipe.verify,
            cache_directory=opening.cache_directory,
            progress=shown if settled.budget is None else progress_within(settled.budget, shown),
            stream=streamed,
            processes=Rank.of().local_size,
        )
    except CacheFullError as error:
        kept = (
            "hold back fewer"
            if streamed
            else f"train with {settings_text(stream='yes')}, which keeps no training image decoded"
        )
        raise DataError(f"{error}, or {kept}") from None
    if dataset.train is None or not len(dataset.train):
        raise RunError(f"{recipe.data} has no images to train on: put them in class folders, or in train/ by class")
    if recipe.miss_rate:  # again, for images may be unreadable, or equal to another
        val = dataset.class_counts("val") if dataset.val is not None else {recipe.good_class: 0}
        require_enough(sum(val.values()) - val[recipe.good_class], recipe.miss_rate, own_val=found.listing.is_split)
    return dataset


def notices_of_images(dataset: Dataset) -> Iterator[Notice]:
    """Yield what there is to say of the images."""
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts.items())
    yield Notice(
        topic="data", message=f"{dataset.source}: {plural(len(dataset.classes), 'class', 'classes')}, images: {counts}"
    )
    yield Notice(message=f"classes: {first_and_last(map(quoted_where_blank, dataset.classes))}")
    yield from (Notice(message=line) for line in (*dataset.notes, *dataset.notes_on_training))
    if alike := look_alikes_text(dataset.classes):
        yield Notice(message=alike, level="warning")
    if dataset.problems:
        skipped = plural(len(dataset.problems), "image")
        yield Notice(message=f"{skipped} skipped: {in_short(dataset.problems)}", level="warning")


def in_short(problems: Sequence[Problem]) -> str:
    """Return the first three problems, and how many more there are."""
    shown = "; ".join(f"{problem.path}: {problem.reason}" for problem in problems[:3])
    return shown + (f"; and {len(problems) - 3:,} more" if len(problems) > 3 else "")
