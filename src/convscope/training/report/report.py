"""report.html: the page of a run, as a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

from torch import Tensor

from convscope.data.records import Dataset
from convscope.data.training_batches import TrainingBatches
from convscope.interpret.learned.in_training import LearnedInTraining
from convscope.nets import catalogue
from convscope.nets.own_code import is_own
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import plain
from convscope.report.document import (
    Block,
    Callout,
    Code,
    Columns,
    Details,
    Document,
    Fact,
    Facts,
    Figure,
    Gallery,
    Heading,
    Image,
    Paragraph,
    Section,
    dated_footer,
    sentence,
)
from convscope.report.html import document_page
from convscope.report.table import Column, Table
from convscope.report.units import exact, percent, plural, seconds
from convscope.report.usage import call_text
from convscope.runs.atomic_files import write_file
from convscope.runs.events import EpochRow
from convscope.runs.layer_norms import NormSample
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.scoring.label_scores import LabelScores
from convscope.scoring.measured import AnyScores
from convscope.scoring.scores import Scores
from convscope.training.report import scored, scored_labels
from convscope.training.report.curves import accuracy_curves, loss_curves
from convscope.training.report.learned import learned_section
from convscope.training.report.pictures import first_batch
from convscope.training.report.time_taken import TimeTaken, time_section

FIRST = 18
PROBLEMS_SHOWN = 200
# The ending of a run whose files the disk no longer took.
UNWRITTEN = "unwritten"


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What the page of a run shows."""

    run: Run
    recipe: Recipe
    reasons: tuple[str, ...]
    weights: int
    dataset: Dataset
    spec: ModelSpec
    batches: TrainingBatches
    rows: tuple[EpochRow, ...]
    best_epoch: int | None
    best_accuracy: float | None
    best_weights: dict[str, Tensor] | None
    ending: str
    scores: AnyScores | None
    # Steps that were taken, of those that were planned.
    steps: tuple[int, int] = (0, 0)
    time: TimeTaken = field(default_factory=TimeTaken)
    one_view: float | None = None
    # Warnings on the scores, a sentence each.
    cautions: tuple[str, ...] = ()
    # Why the run could not go on, and what to do about it; empty where it could.
    reason: str = ""
    advice: str = ""
    # Why a training that came to its end is of no use.
    remark: str | None = None
    # Of each layer, at some steps.
    norms: tuple[NormSample, ...] = ()
    # What was measured of what it learned; None where there were no images, or no time.
    learned: LearnedInTraining | None = None


def write_report(report: TrainingReport) -> None:
    """Write the page into the run directory."""
    write_file(report.run.report, document_page(report_document(report)))


def report_document(report: TrainingReport) -> Document:
    """Return the page of a run as a document."""
    scores = report.scores
    name = report.spec.name
    title = name if is_own(name) else catalogue.find(name).title
    blocks: list[Block] = [
        *_curves(report),
        *_first_scores(report),
        *_seen(report),
        *learned_section(report.run, report.best_weights, report.norms, report.learned),
        *(_of_one_label(scores) if scores and not isinstance(scores, LabelScores) else []),
        _images(report),
        *time_section(report.time),
        _settings(report),
        _files(report),
    ]
    train = report.dataset.train
    images = plural(len(train) if train else 0, "image")
    classes = plural(len(report.spec.classes), "class", "classes")
    name = PurePath(report.dataset.source).name
    lead = f"{title}, trained on {images} in {classes} of {report.dataset.source}. Run {report.run}."
    return Document(
        f"{title} on {name}",
        tuple(blocks),
        lead=lead,
        summary=(Facts(tuple(_headline(report))), *_remarks(report)),
        footer=dated_footer(),
    )


def _first_scores(report: TrainingReport) -> list[Section]:
    """Return the confusion matrix, or the measures of each of several labels, and the worst mistakes."""
    scores = report.scores
    if scores is None:
        return []
    images = report.dataset.splits[scores.split]
    if isinstance(scores, LabelScores):
        return [
            scored_labels.classes(scores),
            *scored.curves(scores.curves),
            scored_labels.mistakes(scores, images),
        ]
    return [*scored.defects(scores), scored.confusion(scores), scored.mistakes(scores, images)]


def _of_one_label(scores: Scores) -> list[Section]:
    """Return each class's measures, and the curves over all thresholds where they are not shown with the defects."""
    return [scored.classes(scores), *([] if scores.defects else scored.curves(scores.curves))]


def _headline(report: TrainingReport) -> Iterator[Fact]:
    scores, rows = report.scores, report.rows
    if isinstance(scores, LabelScores):
        yield from scored_labels.headline(scores)
    elif scores is not None:
        yield from scored.headline(scores)
    if report.one_view is not None:
        yield _share("Without test-time augmentation", report.one_view)
    if report.best_accuracy is not None and (scores is None or scores.split == "test"):
        yield _share("Best validation", report.best_accuracy)
    if rows:
        if not rows[0].epoch:
            yield Fact("Start", "head solved on features", 0)
        trained = rows[-1].epoch
        yield Fact("Epochs", f"{trained} of {report.recipe.epochs}", trained)
        taken, planned = report.steps
        yield Fact("Steps", f"{taken:,} of {planned:,}", taken)
        yield Fact("Training time", seconds(rows[-1].seconds), rows[-1].seconds)
        if report.time.whole is not None:
            yield Fact("Whole command", seconds(report.time.whole), report.time.whole)
        steps_taken = [row for row in rows if row.epoch] or rows  # a solved head has none
        speed = sum(row.images_per_second for row in steps_taken) / len(steps_taken)
        yield Fact("Speed", f"{speed:,.0f} images/s", speed)
    yield Fact("Parameters", exact(report.weights), report.weights)


def _share(name: str, value: float) -> Fact:
    return Fact(name, percent(value, decimals=2), value)


def _remarks(report: TrainingReport) -> Iterator[Callout]:
    if report.ending in ("stopped", "interrupted"):
        yield Callout(
            "warning",
            "This run was stopped before its last epoch; the report is on its best weights so far.",
            (
                *((f"It ended because {report.reason}.",) if report.reason else ()),
                f"To go on: {call_text('train', resume=report.run)}",
            ),
        )
    if report.ending == "diverged":
        yield Callout(
            "error",
            f"The loss stopped being a number, and the run ended there: {report.reason}.",
            (f"What to do: {report.advice}.",) if report.advice else (),
        )
    if report.ending == UNWRITTEN:
        yield Callout("error", f"A file could not be written, and the run ended there: {report.reason}.")
    if report.remark:
        yield Callout("error", sentence(report.remark))
    if report.ending == "early":
        waited = plural(plain(report.recipe.patience), "epoch")
        yield Callout("note", f"Stopped early: {waited} brought no better validation.")
    for caution in report.cautions:
        yield Callout("warning", sentence(caution))
    if report.dataset.problems:
        skipped = plural(len(report.dataset.problems), "image")
        yield Callout("warning", f"{skipped} skipped: unreadable, and listed below.")
    if report.dataset.leaks:
        count = plural(len(report.dataset.leaks), "image")
        yield Callout("warning", f"{count} are also in another split, so the scores are too high; see below.")


def _curves(report: TrainingReport) -> Iterator[Section]:
    rows = report.rows
    if not rows:
        return
    loss, accuracy = loss_curves(rows, report.spec.objective.measured), accuracy_curves(rows)
    measured = any(row.val_loss is not None for row in rows)
    solved = "" if rows[0].epoch else "Epoch 0 is the solved head, measured on plain images. "
    kept = f"{solved}The weights of epoch {report.best_epoch} were kept: the best on the validation images. " * measured
    mixed = " Of a mixed image the label with the larger share counts." if report.batches.augmentation.mixing.on else ""
    text = (
        f"{kept}Training figures are measured while the weights still change and on augmented images, "
        f"so validation can be the better of the two.{mixed}"
    )
    if not rows[-1].epoch:  # the solved head alone: both figures are of the same weights on plain images
        text = kept.strip()
    yield Section("Training curves", (Columns((Figure(loss), Figure(accuracy))), Paragraph(text)))


def _seen(report: TrainingReport) -> Iterator[Section]:
    if report.dataset.train is None:
        return
    pictures, shown = first_batch(report.batches, count=FIRST)
    names = [_named(target, report.spec.classes) for target in shown]
    shown_images = (Image(p, f"an image of {name}", name) for p, name in zip(pictures, names, strict=True))
    text = "The first images of the first step, decoded, resized and augmented as the network gets them."
    yield Section("Training images", (Paragraph(text), Gallery(tuple(shown_images))), page_only=True)


def _named(target: list[tuple[int, float]], classes: tuple[str, ...]) -> str:
    """Return the classes in a target: one, several, or the shares of several."""
    names = [classes[place] + (f" {percent(share)}" if share < 1 else "") for place, share in target]
    return ", ".join(names) or "none of the classes"


def _images(report: TrainingReport) -> Section:
    dataset = report.dataset
    counts = {split: dataset.class_counts(split) for split in dataset.splits}
    columns = [Column("class"), *(Column(split, numeric=True) for split in counts)]
    by_class = [(name, [counts[split][name] for split in counts]) for name in dataset.classes]
    by_class.append(("all", [dataset.counts[split] for split in counts]))
    table = Table.of(columns, [[name, *((exact(n), n) for n in numbers)] for name, numbers in by_class])
    blocks: list[Block] = [table, *map(Paragraph, (*dataset.notes, *dataset.notes_on_training))]
    if dataset.problems:
        listed = "\n".join(f"{problem.path}: {problem.reason}" for problem in dataset.problems[:PROBLEMS_SHOWN])
        more = len(dataset.problems) - PROBLEMS_SHOWN
        blocks.append(Heading(f"Skipped: {plural(len(dataset.problems), 'image')}"))
        blocks.append(Code(listed + (f"\n... and {more:,} more" if more > 0 else "")))
    if dataset.leaks:
        listed = "\n".join(f"{leak.first} is also {leak.second}" for leak in dataset.leaks[:PROBLEMS_SHOWN])
        blocks.append(Details(f"In two splits: {plural(len(dataset.leaks), 'image')}", (Code(listed),)))
    return Section("Images", tuple(blocks))


def _settings(report: TrainingReport) -> Section:
    chosen = [Paragraph(sentence(reason)) for reason in report.reasons if reason]
    return Section("Settings", (*chosen, Details("Every setting", (report.recipe.table(),))))


def _files(report: TrainingReport) -> Section:
    columns, spec = [Column("file"), Column("what it holds")], report.spec
    kept, trained = report.best_epoch is not None, bool(report.rows)
    rows = [
        *([("weights.safetensors", f"the best weights, of epoch {report.best_epoch}")] if kept else []),
        (
            "model.json",
            "the architecture, the classes and how images are prepared: with the weights, all that predict needs",
        ),
        ("recipe.toml", f"every setting: {call_text('train', recipe='recipe.toml')} repeats the run"),
        *([("checkpoint/", f"the state that {call_text('train', resume=report.run)} goes on from")] if trained else []),
        *([("metrics.csv", "a row an epoch")] if trained else []),
        ("log.txt", "every message, with the time"),
        ("events.jsonl", "the same as JSON, an event a line"),
        ("status.json", "the state of the run: its epoch, and how it ended"),
        *([("scores.json", "the scores of the best weights, by class")] if report.scores is not None else []),
        *([("live/", "norms of each layer's outputs and gradients; a last view")] if report.norms else []),
        *(
            [("code/", f"a copy of the code of {spec.name}: not run unless you name it or trust it")]
            if spec.source
            else []
        ),
        *([("split.csv", "which image went where")] if report.dataset.made_splits else []),
        ("report.html", "this page"),
    ]
    return Section("Files", (Paragraph(f"In {report.run}:"), Table.of(columns, rows)))
