"""The images of a run, opened as they were split for its training, or others that are labelled with its classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convscope.data.listing import WHOLE, is_in_memory, without_groups
from convscope.data.open import BUILT_IN, Probe, open_dataset, probe
from convscope.data.pixels.sniff import megapixels_of
from convscope.data.records import Dataset, ImageSet
from convscope.data.shards.shard_names import names_shards
from convscope.data.streamed import Streamed
from convscope.errors import DataError, RunError, did_you_mean
from convscope.files.regular import FILE_LIMIT, refused_as
from convscope.files.text import path_in_text, read_text
from convscope.recipe.recipe import Recipe
from convscope.report.csv_table import read_csv
from convscope.report.progress import Progress, no_progress
from convscope.report.usage import Placeholder, call_text, settings_text
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.runs.run_names import short_name

# The splits in the order in which one is taken: images that the run did not learn from come first.
SPLITS = ("test", "val", "train")


@dataclass(frozen=True, kw_only=True)
class OpenedSplit:
    """A split of images on which a run is measured.

    Args:
        dataset: all of the data.
        name: of the split; that of all images for one folder of classes, of which nothing was held back.
        images: of the split; their labels index the run's classes.
        own: whether the data are those that the run was trained on.
    """

    dataset: Dataset
    name: str
    images: ImageSet
    own: bool


def own_images(run: Run, split: str | None = None, *, progress: Progress = no_progress) -> tuple[str, ImageSet]:
    """Return a split of the images that a run was trained on, with its name; labels index the run's classes.

    Args:
        run: the run.
        split: test, val or train; test, or else val, unless given.
        progress: called after each decoded image.

    Raises:
        DataError: the images are gone, were in memory, or there is no such split.
        RunError: the run does not say what it was trained on.
    """
    found = open_split(run, None, run.recipe(), run.spec(), split, None, progress)
    return found.name, found.images


def open_split(
    run: Run,
    given: Probe | None,
    recipe: Recipe,
    spec: ModelSpec,
    split: str | None,
    cache: Path | None,
    progress: Progress,
    verify: bool = False,
    *,
    on_others: str = "",
) -> OpenedSplit:
    """Return a split of the run's own data, or of other data; the first of test, val and train unless one is named.

    Args:
        run: the run.
        given: other data, or the run's own in memory; its own unless given.
        recipe: the run's.
        spec: the run's.
        split: test, val or train.
        cache: where decoded images are kept; the usual folder unless given.
        progress: called after each decoded image.
        verify: read every file again whose image is found decoded.
        on_others: as of `open_images`.

    Raises:
        DataError: the images are gone, were in memory, there is no such split, or they have other classes.
        RunError: the run does not say what it was trained on.
    """
    dataset = open_images(run, given, recipe, spec, cache, progress, verify, on_others=on_others)
    name, images = choose_split(dataset, split)
    own = given is None or are_own(given, recipe)
    return OpenedSplit(
        dataset=dataset,
        name=name if own or split is not None else name_without_split(dataset, name),
        images=labelled_by_run(images, dataset, spec),
        own=own,
    )


def name_without_split(dataset: Dataset, name: str) -> str:
    """Return the name of a split where none was asked for: one folder of classes is measured as a whole."""
    return WHOLE if "train" in dataset.made_splits else name


def open_images(
    run: Run,
    given: Probe | None,
    recipe: Recipe,
    spec: ModelSpec,
    cache: Path | None,
    progress: Progress,
    verify: bool,
    *,
    on_others: str = "",
) -> Dataset:
    """Return the run's own data as it was split for training, or other data, from which nothing is held back.

    `on_others` is the call that an error names where the run's own are gone; that of `evaluate` unless given.
    """
    in_memory = on_others or f"convscope.evaluate({str(run)!r}, (images, labels))"
    on_others = on_others or _on_others(run)
    own = given is None or are_own(given, recipe)
    if given is None and not recipe.data:
        raise RunError(f"the run does not say what it was trained on: name images, {on_others}")
    if given is None and is_in_memory(recipe.data):
        raise DataError(
            f"{run} was trained on images in memory, of which no copy is kept: give them, or others: {in_memory}"
        )
    if given is None and _is_gone(recipe.data):
        raise DataError(
            f"the images of {run} are no longer at {recipe.data}: put them there again, or name some to "
            f"measure it on: {on_others} (on those that it was trained on, scores flatter)"
        )
    found = given or probe(
        recipe.data, layout=recipe.layout, options=recipe.source_options, earlier=spec.classes, of_run=True
    )
    if own:
        found = found.with_fewer(recipe.train_images, test_fraction=recipe.test_fraction, seed=recipe.seed_of_split)
    dataset = open_dataset(
        found,
        decoding=spec.decoding,
        validation_fraction=recipe.held_back if own else 0.0,
        test_fraction=recipe.test_fraction if own else 0.0,
        seed=recipe.seed_of_split,
        cache_directory=cache,
        progress=progress,
        verify=verify,
        stream=own and recipe.stream == "yes",
    )
    if own:
        _require_the_runs_images(run, dataset)
    return dataset


def _require_the_runs_images(run: Run, dataset: Dataset) -> None:
    """Raise DataError if images that the run learned from are above the limit here: their split would be another."""
    learned, limit = run.spec().decoding.max_megapixels, dataset.decoding.max_megapixels
    if learned > limit and any(megapixels_of(problem.reason) for problem in dataset.problems):
        raise DataError(
            f"{run} was trained on images of up to {learned} megapixels, and the limit is {limit} here: "
            f"{settings_text(max_megapixels=learned)} reads them"
        )


def are_own(given: Probe, recipe: Recipe) -> bool:
    """Return whether images in memory are those that the run was trained on.

    Raises:
        DataError: they are, but for their groups, so that images it learned from would be held out.
    """
    if not is_in_memory(given.source) or without_groups(given.source) != without_groups(recipe.data):
        return False
    if given.source != recipe.data:
        bare = without_groups(recipe.data)
        trained = "without" if recipe.data == bare else "with" if given.source == bare else "with other"
        raise DataError(f"the run was trained on these images {trained} groups: give them as for its training")
    return True


def _on_others(run: Run) -> str:
    return call_text("evaluate", run, Placeholder("DATA"))


def _is_gone(source: str) -> bool:
    """Return whether there is nothing at a path; patterns of shards, and names of what is built in, are no paths."""
    return source not in BUILT_IN and not names_shards(source) and not Path(source).exists()


def choose_split(dataset: Dataset, split: str | None) -> tuple[str, ImageSet]:
    """Return a split by name, or the first of test, val and train that has images.

    Raises:
        DataError: there is no such split, or its images are streamed.
    """
    there: Mapping[str, ImageSet] = {name: images for name, images in dataset.splits.items() if len(images)}
    if split is not None and split not in there:
        raise DataError(f"{dataset.source} has no {split} split, only {', '.join(there)}.{did_you_mean(split, there)}")
    name = split or next(known for known in SPLITS if known in there)
    if isinstance(there[name].images, Streamed):
        raise DataError(f"the {name} images of {dataset.source} are streamed, and not measured: name a split or images")
    return name, there[name]


def labelled_by_run(images: ImageSet, dataset: Dataset, spec: ModelSpec) -> ImageSet:
    """Return the images with labels that index the run's classes, which may be numbered otherwise in the data.

    Raises:
        DataError: classes that the run was not trained on, or other kinds of labels.
    """
    classes = spec.classes
    if images.targets is not None and not spec.objective.multi_label and (images.targets.sum(1) == 1).all():
        # A table whose columns might hold several labels, and hold one in each row.
        images = replace(images, labels=images.targets.argmax(1), targets=None)
    if (images.targets is not None) != spec.objective.multi_label:
        has = ("one class an image", "several labels, or none, an image")
        one, other = has if spec.objective.multi_label else has[::-1]
        raise DataError(f"{dataset.source} has {one}, and the run learned {other}: name images that are labelled so")
    strangers = [name for name in dataset.classes if name not in classes]
    if strangers:
        known = ", ".join(classes[:10]) + (" ..." if len(classes) > 10 else "")
        raise DataError(
            f"{dataset.source} has classes that the run was not trained on: {', '.join(strangers[:5])}."
            f"{did_you_mean(strangers[0], classes)} Its classes: {known}"
        )
    places = np.array([classes.index(name) for name in dataset.classes], np.int64)
    if images.targets is None:
        return replace(images, labels=places[images.labels])
    targets = np.zeros((len(images), len(classes)), np.uint8)
    targets[:, places] = images.targets
    return replace(images, targets=targets)


def learned_note(run: Run, recipe: Recipe, taken: OpenedSplit, *, held_back: str) -> str:
    """Return a warning if the run was trained on images that are measured, but for its own split train; else "".

    They are among those held out because the folder has changed since, or were named as other data.

    Args:
        run: the run.
        recipe: the run's.
        taken: the split that is measured.
        held_back: the call that measures the images that were held back.

    Raises:
        RunError: its split.csv can't be read.
    """
    known = taken.own or (recipe.data and os.path.realpath(taken.dataset.source) == os.path.realpath(recipe.data))
    if not known or (taken.own and taken.name == "train") or not (seen := _count_learned(run, taken)):
        return ""
    if taken.own:
        return f"{seen} of these images were trained on: the folder has changed since, and so has its split"
    return f"{seen} of these images were trained on, so scores flatter: {held_back} measures those held back"


def _count_learned(run: Run, taken: OpenedSplit) -> int:
    """Return how many images of a split the run was trained on, by its split.csv; 0 where it has none.

    Raises:
        RunError: the file can't be read.
    """
    if not os.path.lexists(run.split_path):
        return 0
    with refused_as(RunError, run.split_path):
        rows = read_csv(read_text(run.split_path, limit=FILE_LIMIT))
    learned = {path_in_text(row.get("image", "")) for row in rows if row.get("split") == "train"}
    return sum(short_name(name, taken.dataset) in learned for name in taken.images.names)
