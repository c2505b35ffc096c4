"""`evaluate`: how good a run's best weights are, on its own held-out images or on others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.api.annotations import Positive
from convscope.api.public import public
from convscope.data.layout import AUTO
from convscope.data.listing import WHOLE, is_in_memory, without_groups
from convscope.data.memory.source import InMemory
from convscope.data.open import BUILT_IN, Probe, open_dataset, probe, probe_given
from convscope.data.pixels.sniff import megapixels_of
from convscope.data.records import Dataset, ImageSet
from convscope.data.shards.shard_names import names_shards
from convscope.data.source_options import SourceOptions
from convscope.data.streamed import Streamed
from convscope.errors import DataError, RunError, did_you_mean
from convscope.files.regular import FILE_LIMIT, refused_as, write_text
from convscope.files.text import path_in_text, read_text
from convscope.recipe.recipe import Recipe
from convscope.report.csv_table import read_csv
from convscope.report.document import Callout, Document, Fact, Facts, dated_footer
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.progress import Progress, ProgressOption, progress_of
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing
from convscope.report.units import percent, plural
from convscope.report.usage import Placeholder, call_text, settings_text
from convscope.runs.measured_csv import measured_csv
from convscope.runs.model_spec import ModelSpec, with_threshold
from convscope.runs.predictor import Predictor, predictor_of
from convscope.runs.run_directory import Run, RunLike, short_name
from convscope.scoring.defect_rule import DefectRule, require_enough, require_good_class
from convscope.scoring.measured import AnyScores, cautions, measure, one_measure
from convscope.scoring.test_time_augmentation import ONE

SPLITS = ("test", "val", "train")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Evaluation(Pictured):
    """The scores of a run on some images, with notes on these."""

    run: Run
    data: str
    scores: AnyScores
    skipped: int
    notes: tuple[str, ...]
    # The measure when each image is seen once, where the run looks at several views of it.
    one_view: float | None = None
    # What the scores hide, a sentence each.
    cautions: tuple[str, ...] = ()

    def headline(self) -> str:
        """Return the run, the data and the score."""
        return f"{short_path(self.run)} on {short_path(self.data)}, {self.scores.headline()}"

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as JSON's types: the keys of `Scores.to_dict` or `LabelScores.to_dict`, and those below.

        Keys:
            run: the run directory.
            data: the images that were measured.
            one_view: the score without test-time augmentation; None where the run has none.
            images_skipped: how many can't be read.
            notes: remarks on the images.
            cautions: what the scores hide, a sentence each.
        """
        return json_dict(
            {
                "run": str(self.run.path),
                "data": self.data,
                **self.scores.to_dict(),
                "one_view": self.one_view,
                "images_skipped": self.skipped,
                "notes": self.notes,
                "cautions": self.cautions,
            }
        )

    def figure(self) -> Drawing:
        """Draw the confusion matrix, or of several labels an image the average precision of each class.

        `scores.curves_figure()` draws the ROC and the precision-recall curves.
        """
        return self.scores.figure()

    def document(self) -> Document:
        """Return what is shown: notes, the scores, each class's, the confusion matrix and the worst mistakes."""
        scores = self.scores
        facts, *blocks = scores.blocks()
        if self.one_view is not None:
            one_view = Fact("with one view", percent(self.one_view, decimals=2), self.one_view)
            facts = Facts((*scores.facts(), one_view))
        notes = [Callout("note", note) for note in (*self.notes, *self.cautions)]
        if self.skipped:
            skipped = f"{plural(self.skipped, 'image')} of {self.data} can't be read: skipped"
            notes.append(Callout("note", skipped))
        return Document(
            f"{self.run} on {self.data}, {scores.split}: {plural(scores.images, 'image')}",
            (*notes, facts, *blocks),
            footer=dated_footer(),
        )


@public
def evaluate(
    run: RunLike | Predictor,
    data: str | Path | InMemory | None = None,
    *,
    classes: Sequence[str] | None = None,
    layout: str = AUTO,
    image_column: str = "",
    image_folder: str = "",
    image_ending: str = "",
    label_column: str = "",
    label_separator: str = "",
    split: str | None = None,
    device: str | None = None,
    max_megapixels: Positive | None = None,
    model: str = "",
    trust_code: bool = False,
    cache_directory: str | Path | None = None,
    progress: ProgressOption = False,
    verify: bool = False,
    good_class: str = "",
    miss_rate: float | None = None,
    predictions: str | Path | None = None,
) -> Evaluation:
    """Measure a run on a split of its own data (test, or else val), or on other images.

    Other images may lie in class folders, all of which are then measured, or in train/, val/ and test/, of which test
    is taken unless `split` says otherwise; or a CSV table names them; or they are in memory. Classes go by name; `data`
    may lack all but one of the run's: of several labels an image, one that is never named counts as absent.

    Args:
        run: its directory, what `convscope.train` returned, or a predictor of it.
        data: what `convscope.train` takes; the run's own unless given. Images in memory that the run was trained on are
            recognised, split as they were then, and measured as its own.
        classes: the names of the labels of images in memory. Where there are none, labels that are numbers are places
            among the run's classes if these are names, else names themselves.
        layout: what the folders of other images are, as the recipe's setting says it for the run's own.
        image_column: of a table of other images, as the recipe's setting; found unless given, as are the next four.
        image_folder: as the recipe's setting.
        image_ending: as the recipe's setting.
        label_column: as the recipe's setting.
        label_separator: as the recipe's setting.
        split: test, val or train; test, or else val, unless given.
        device: of a run's network, cpu unless given.
        max_megapixels: the largest image that is read; the run's limit unless given, and then at most 50.
        model: where the code of the run's network is, `file.py:factory`, if that is your own; it is run.
        trust_code: whether the copy of that code that the run holds may be run instead.
        cache_directory: where decoded images are kept.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.
        verify: read every file again whose image is found decoded, and decode all anew where one has changed.
        good_class: as the recipe's setting; the run's own unless given.
        miss_rate: as the recipe's setting: the threshold is chosen on the run's validation images, for this measuring
            alone. The run's own threshold unless given, and 0.5 where it has none.
        predictions: a CSV file to write: the true and the predicted class of each image, and the probability of each
            class.

    Raises:
        RunError: no such run or device, or the run's files don't fit together; no such good class, or too few
            validation defects for the miss rate; a file that can't be written.
        DataError: classes that are not the run's, or no images.
    """
    predictor = predictor_of(run, device, max_megapixels, model=model, trust_code=trust_code)
    if predictor.run is None:
        raise RunError("the predictor is of no run, so its images are not known: give the run instead")
    opened = predictor.run
    recipe = opened.recipe()
    spec = _with_good_class(predictor.spec, good_class, miss_rate)
    if predictions is not None:
        _require_folder_of(Path(predictions))
    cache = None if cache_directory is None else Path(cache_directory)
    options = SourceOptions(
        image_column=image_column,
        image_folder=image_folder,
        image_ending=image_ending,
        label_column=label_column,
        label_separator=label_separator,
    )
    found = None
    if data is not None:
        found = probe_given(
            data,
            layout=layout,
            options=options,
            classes=classes,
            to_learn=False,
            earlier=spec.classes,
            value_range=spec.decoding.value_range,
        )
    own = found is None or _are_own(found, recipe)
    said = options.of_table() if layout == AUTO else f"layout {layout}"
    if found is None and said:
        raise RunError(f"{said}: the run's own images are read as for its training; name others to say theirs")
    with progress_of(progress) as report:
        dataset = _open(opened, found, recipe, spec, cache, report, verify)
        name, images = _choose(dataset, split)
        images = _by_name(images, dataset, spec)
        if not own and split is None and "train" in dataset.made_splits:
            name = WHOLE  # one folder of classes, of which nothing was held back
        if miss_rate is not None:
            own_images = dataset if own else _open(opened, None, recipe, spec, cache, report, verify)
            spec = _with_miss_rate(spec, miss_rate, predictor, own_images, report)
        both = predictor.scores(images, progress=report, what=f"measuring on {name}")
    scores = measure(
        both[:, 1], images, classes=spec.classes, split=name, objective=spec.objective, rule=spec.defect_rule
    )
    if predictions is not None:
        text = measured_csv(spec.objective.probabilities_of(both[:, 1]), images, spec)
        with refused_as(RunError, f"{predictions} can't be written"):
            write_text(predictions, text)
    return Evaluation(
        run=opened,
        data=dataset.source,
        scores=scores,
        skipped=len(dataset.problems),
        notes=tuple(_notes(dataset, spec, name, own_run=opened if own else None)),
        one_view=None if spec.tta == ONE else one_measure(both[:, 0], images),
        cautions=cautions(scores, class_weights=recipe.class_weights),
    )


def _notes(dataset: Dataset, spec: ModelSpec, split: str, *, own_run: Run | None) -> Iterator[str]:
    """Yield remarks on the images that were measured; `own_run` is the run that was trained on their source."""
    # Classes without images are named of what is measured, by `cautions`.
    lacking = tuple(f"{each} has no images of " for each in SPLITS)
    yield from (note for note in dataset.notes if not note.startswith(lacking))
    if own_run is None:
        return
    yield from _split_has_moved(own_run, dataset, split)
    if split == "val" and spec.defect_rule is not None and spec.defect_rule.miss_rate is not None:
        yield "the defect threshold was chosen on these images: of new ones more defects may be missed"


def _require_folder_of(file: Path) -> None:
    """Raise RunError, before an image is measured, where a file can't be written for want of a folder."""
    if file.is_dir() or not file.absolute().parent.is_dir():
        why = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise RunError(f"predictions: {file} can't be written: {why}")


def _with_good_class(spec: ModelSpec, good_class: str, miss_rate: float | None) -> ModelSpec:
    """Return the spec by whose rule defects are measured; another good class than the run's has the threshold 0.5."""
    kept = spec.defect_rule
    if good_class and (kept is None or kept.good_class != good_class):
        require_good_class(good_class, spec.classes, multi_label=spec.multi_label)
        spec = replace(spec, defect_rule=DefectRule(good_class=good_class))
    if miss_rate is not None:
        if spec.defect_rule is None:
            named = settings_text(good_class="good")
            raise RunError(f"miss_rate {miss_rate:g}: say which class is not a defect, {named}")
        if not 0 < miss_rate < 1:
            raise RunError(f"miss_rate is {miss_rate:g}: it must be above 0 and below 1")
    return spec


def _with_miss_rate(
    spec: ModelSpec, miss_rate: float, predictor: Predictor, dataset: Dataset, progress: Progress
) -> ModelSpec:
    """Return the spec with the threshold for a miss rate, chosen on the validation images of the run's own data."""
    assert spec.defect_rule is not None
    if dataset.val is None or not len(dataset.val):
        require_enough(0, miss_rate, trained=True)
    _, val = _choose(dataset, "val")
    val = _by_name(val, dataset, spec)
    defects = int((val.labels != spec.classes.index(spec.defect_rule.good_class)).sum())
    require_enough(defects, miss_rate, trained=True, own_val="val" not in dataset.made_splits)
    scores = predictor.scores(val, progress=progress, what="choosing the threshold on val")
    return with_threshold(spec, miss_rate, scores[:, 1], val)


def _open(
    run: Run,
    given: Probe | None,
    recipe: Recipe,
    spec: ModelSpec,
    cache: Path | None,
    progress: Progress,
    verify: bool,
) -> Dataset:
    """Return the run's own data as it was split for training, or other data, from which nothing is held back."""
    own = given is None or _are_own(given, recipe)
    if given is None and not recipe.data:
        raise RunError(f"the run does not say what it was trained on: name images, {_on_others(run)}")
    if given is None and is_in_memory(recipe.data):
        raise DataError(
            f"{run} was trained on images in memory, of which no copy is kept: give them, or others: "
            f"convscope.evaluate({str(run)!r}, (images, labels))"
        )
    if given is None and _is_gone(recipe.data):
        raise DataError(
            f"the images of {run} are no longer at {recipe.data}: put them there again, or name some to "
            f"measure it on: {_on_others(run)} (on those that it was trained on, scores flatter)"
        )
    found = given or probe(recipe.data, layout=recipe.layout, options=recipe.source_options, earlier=spec.classes)
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


def _are_own(given: Probe, recipe: Recipe) -> bool:
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


def _choose(dataset: Dataset, split: str | None) -> tuple[str, ImageSet]:
    there: Mapping[str, ImageSet] = {name: images for name, images in dataset.splits.items() if len(images)}
    if split is not None and split not in there:
        raise DataError(f"{dataset.source} has no {split} split, only {', '.join(there)}.{did_you_mean(split, there)}")
    name = split or next(known for known in SPLITS if known in there)
    if isinstance(there[name].images, Streamed):
        raise DataError(f"the {name} images of {dataset.source} are streamed, and not measured: name a split or images")
    return name, there[name]


def _by_name(images: ImageSet, dataset: Dataset, spec: ModelSpec) -> ImageSet:
    """Return the images with labels that index the run's classes, which may be numbered otherwise in the data."""
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


def _split_has_moved(run: Run, dataset: Dataset, split: str) -> list[str]:
    """Return a warning if held-out images were trained on, because the folder has changed since."""
    if not os.path.lexists(run.split_path):
        return []
    with refused_as(RunError, run.split_path):
        rows = read_csv(read_text(run.split_path, limit=FILE_LIMIT))
    learned = {path_in_text(row.get("image", "")) for row in rows if row.get("split") == "train"}
    seen = sum(short_name(name, dataset) in learned for name in dataset.splits[split].names)
    if not seen or split == "train":
        return []
    return [f"{seen} of these images were trained on: the folder has changed since, and so has its split"]
