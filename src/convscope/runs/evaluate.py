"""`evaluate`: how good a run's best weights are, on its own held-out images or on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convscope.api.annotations import Positive
from convscope.api.public import public
from convscope.data.layout import AUTO
from convscope.data.memory.source import InMemory
from convscope.data.open import probe_given
from convscope.data.records import Dataset
from convscope.data.source_options import SourceOptions
from convscope.errors import RunError
from convscope.files.regular import refused_as, write_text
from convscope.files.writable import require_folder_of
from convscope.recipe.recipe import Recipe
from convscope.report.document import Callout, Document, Fact, Facts, dated_footer
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.progress import Progress, ProgressOption, progress_of
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing
from convscope.report.units import percent, plural
from convscope.report.usage import call_text, settings_text
from convscope.runs.built_in import built_in_of
from convscope.runs.checkpoint import epoch_of
from convscope.runs.measured_csv import measured_csv
from convscope.runs.model_spec import ModelSpec, with_threshold
from convscope.runs.predictor import Predictor, predictor_of
from convscope.runs.run_directory import Run
from convscope.runs.run_images import (
    SPLITS,
    OpenedSplit,
    choose_split,
    labelled_by_run,
    learned_note,
    open_images,
    open_split,
)
from convscope.runs.run_like import RunLike
from convscope.scoring.defect_rule import DefectRule, require_enough, require_good_class
from convscope.scoring.measured import AnyScores, cautions, measure, one_measure
from convscope.scoring.test_time_augmentation import ONE


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
            checkpoint: the name of the checkpoint whose weights were measured; "" for the best ones.
            data: the images that were measured.
            one_view: the score without test-time augmentation; None where the run has none.
            images_skipped: how many can't be read.
            notes: remarks on the images.
            cautions: what the scores hide, a sentence each.
        """
        return json_dict(
            {
                "run": str(self.run.path),
                "checkpoint": self.run.checkpoint,
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
        run: its directory, what `convscope.train` returned, or a predictor of it; or one of its checkpoints, such as
            "runs/seven/checkpoint/step-000000084".
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

    Here `run` is LeNet-5 after an epoch on the built-in digits:

    >>> found = evaluate(run)
    >>> found.scores.split, found.scores.images, 0 < found.scores.accuracy_top1 < 1
    ('test', 179, True)
    """
    predictor = predictor_of(run, device, max_megapixels, model=model, trust_code=trust_code)
    if predictor.run is None:
        raise RunError("the predictor is of no run, so its images are not known: give the run instead")
    opened = predictor.run
    recipe = opened.recipe()
    spec = _with_good_class(predictor.spec, good_class, miss_rate)
    if predictions is not None:
        require_folder_of(Path(predictions))
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
    said = options.of_table() if layout == AUTO else f"layout {layout}"
    if found is None and said:
        raise RunError(f"{said}: the run's own images are read as for its training; name others to say theirs")
    with progress_of(progress) as report:
        taken = open_split(opened, found, recipe, spec, split, cache, report, verify)
        dataset, images, own = taken.dataset, taken.images, taken.own
        if miss_rate is not None:
            theirs = dataset if own else open_images(opened, None, recipe, spec, cache, report, verify)
            spec = _with_miss_rate(spec, miss_rate, predictor, theirs, report)
        both = predictor.scores(images, progress=report, what=f"measuring on {taken.name}")
    scores = measure(
        both[:, 1], images, classes=spec.classes, split=taken.name, objective=spec.objective, rule=spec.defect_rule
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
        notes=(*_checkpoint_notes(opened, spec), *_notes(opened, recipe, spec, taken)),
        one_view=None if spec.tta == ONE else one_measure(both[:, 0], images),
        cautions=cautions(scores, class_weights=recipe.class_weights),
    )


def _checkpoint_notes(run: Run, spec: ModelSpec) -> Iterator[str]:
    """Yield which weights were measured, where they are a checkpoint's, and what of the run was fitted to others."""
    if not run.checkpoint:
        return
    epoch = epoch_of(run.opened_path)
    yield f"the weights are those of {run.checkpoint if epoch is None else f'epoch {epoch}'}, not the best"
    fitted = ["temperature"] * (spec.temperature != 1)
    fitted += ["defect threshold"] * (spec.defect_rule is not None and spec.defect_rule.miss_rate is not None)
    if fitted:
        yield f"fitted to the run's best weights, not to these: its {' and its '.join(fitted)}"


def _notes(run: Run, recipe: Recipe, spec: ModelSpec, taken: OpenedSplit) -> Iterator[str]:
    """Yield remarks on the images that were measured, and the origin of a network that comes with convscope."""
    if (built_in := built_in_of(run.path)) is not None:
        yield built_in.note
    # Classes without images are named of what is measured, by `cautions`.
    lacking = tuple(f"{each} has no images of " for each in SPLITS)
    yield from (note for note in taken.dataset.notes if not note.startswith(lacking))
    if note := learned_note(run, recipe, taken, held_back=call_text("evaluate", run)):
        yield note
    if not taken.own:
        return
    if taken.name == "val" and spec.defect_rule is not None and spec.defect_rule.miss_rate is not None:
        yield "the defect threshold was chosen on these images: of new ones more defects may be missed"


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
    _, val = choose_split(dataset, "val")
    val = labelled_by_run(val, dataset, spec)
    defects = int((val.labels != spec.classes.index(spec.defect_rule.good_class)).sum())
    require_enough(defects, miss_rate, trained=True, own_val="val" not in dataset.made_splits)
    scores = predictor.scores(val, progress=progress, what="choosing the threshold on val")
    return with_threshold(spec, miss_rate, scores[:, 1], val)
