"""report.html: one page that shows a run; it opens anywhere, loads nothing and runs nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from torch import Tensor

from convscope import __version__
from convscope.data.records import Dataset
from convscope.data.training_batches import TrainingBatches
from convscope.nets import catalogue
from convscope.recipe.recipe import Recipe, settings
from convscope.report import html
from convscope.report.charts import Curve, line_chart
from convscope.report.html import Html
from convscope.report.shell import shell_quote
from convscope.report.table import Column, Table
from convscope.report.units import exact, percent, plural, seconds
from convscope.runs.atomic_files import write_file
from convscope.runs.events import EpochRow
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.scoring.measured import AnyScores
from convscope.scoring.multi_label import LabelScores
from convscope.training.report import scored, scored_labels
from convscope.training.report.pictures import filter_sheet, first_batch, first_filters

FIRST = 18
PROBLEMS_SHOWN = 200
# The ending of a run whose files the disk no longer took.
UNWRITTEN = "unwritten"


@dataclass(frozen=True, kw_only=True)
class Story:
    """The content of the report."""

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
    one_view: float | None = None
    # What the scores hide, a sentence each.
    cautions: tuple[str, ...] = ()
    # Why the run could not go on, and what to do about it; empty where it could.
    reason: str = ""
    advice: str = ""
    # A remark on a training that is complete although its loss grew.
    remark: str | None = None


def write_report(story: Story) -> None:
    """Write the page into the run directory."""
    write_file(story.run.report, report_page(story))


def report_page(story: Story) -> str:
    """Return the page as HTML."""
    scores = story.scores
    title = catalogue.find(story.spec.name).title
    blocks = [
        html.facts(list(_headline(story))),
        *_remarks(story),
        *_curves(story),
        *_first_scores(story),
        *_seen(story),
        *_filters(story),
        *([scored.classes(scores)] if scores and not isinstance(scores, LabelScores) else []),
        _images(story),
        _settings(story),
        _files(story),
    ]
    train = story.dataset.train
    images = plural(len(train) if train else 0, "image")
    classes = plural(len(story.spec.classes), "class", "classes")
    name = PurePath(story.dataset.source).name
    lead = f"{title} learned {classes} from {images} of {story.dataset.source}. Run {story.run}."
    footer = f"convscope {__version__}, {time.strftime('%Y-%m-%d %H:%M')}. This page is one file and needs no network."
    return html.page(f"{title} on {name}", *blocks, lead=lead, footer=footer)


def _first_scores(story: Story) -> list[Html]:
    """Return the first figure of the scores: the confusion matrix, or the multi-label scores by class."""
    scores = story.scores
    if scores is None:
        return []
    images = story.dataset.splits[scores.split]
    if isinstance(scores, LabelScores):
        return [scored_labels.classes(scores), scored_labels.mistakes(scores, images)]
    return [scored.confusion(scores), scored.mistakes(scores, images)]


def _headline(story: Story) -> Iterator[tuple[str, str]]:
    scores, rows = story.scores, story.rows
    if isinstance(scores, LabelScores):
        yield from scored_labels.headline(scores)
    elif scores is not None:
        name = "Test accuracy" if scores.split == "test" else "Validation accuracy"
        yield name, percent(scores.accuracy_top1, decimals=2)
        yield "Right", f"{int(scores.confusion.trace()):,} of {scores.images:,}"
        yield "Balanced accuracy", percent(scores.balanced_accuracy, decimals=2)
        yield "Macro F1", percent(scores.macro_f1, decimals=2)
        if scores.accuracy_top5 is not None:
            yield "Top-5 accuracy", percent(scores.accuracy_top5, decimals=2)
    if story.one_view is not None:
        yield "With one view of each image", percent(story.one_view, decimals=2)
    if story.best_accuracy is not None and (scores is None or scores.split == "test"):
        yield "Best validation", f"{percent(story.best_accuracy, decimals=2)}"
    if rows:
        yield "Epochs", f"{len(rows)} of {story.recipe.epochs}"
        yield "Training time", seconds(rows[-1].seconds)
        yield "Speed", f"{sum(row.images_per_second for row in rows) / len(rows):,.0f} images/s"
    yield "Weights", exact(story.weights)


def _remarks(story: Story) -> Iterator[Html]:
    if story.ending == "stopped":
        yield html.callout(
            "warning",
            "This run was stopped before its end; what follows is about its best weights so far.",
            f"Go on with: {shell_quote('convscope', 'train', '--resume', story.run)}",
        )
    if story.ending == "diverged":
        yield html.callout(
            "error",
            f"The loss stopped being a number, and the run ended there: {story.reason}.",
            *([f"What to do: {story.advice}."] if story.advice else []),
        )
    if story.ending == UNWRITTEN:
        yield html.callout("error", f"A file could not be written, and the run ended there: {story.reason}.")
    if story.remark:
        yield html.callout("error", f"{story.remark[:1].upper()}{story.remark[1:]}.")
    if story.ending == "early":
        yield html.callout("note", f"Stopped early: {story.recipe.patience} epochs brought no better validation.")
    for caution in story.cautions:
        yield html.callout("warning", f"{caution[:1].upper()}{caution[1:]}.")
    if story.dataset.problems:
        kept_out = plural(len(story.dataset.problems), "image")
        yield html.callout("warning", f"{kept_out} skipped: they can't be read, and are listed below.")
    if story.dataset.leaks:
        count = plural(len(story.dataset.leaks), "image")
        yield html.callout("warning", f"{count} also stand in another split, so the scores flatter; see below.")


def _curves(story: Story) -> Iterator[Html]:
    rows = story.rows
    if not rows:
        return
    epochs = [row.epoch for row in rows]
    measured = any(row.val_loss is not None for row in rows)

    several = story.spec.objective.multi_label

    def curves(
        train: Sequence[float], val: Sequence[float | None], names: Sequence[str] = ("training", "validation")
    ) -> list[Curve]:
        return [Curve(names[0], epochs, train), *([Curve(names[1], epochs, val)] if measured else [])]

    loss = line_chart(
        curves([row.train_loss for row in rows], [row.val_loss for row in rows]),
        title="Loss",
        x_label="epoch",
        y_label=story.spec.objective.measured,
        width=460,
    )
    accuracy = line_chart(
        curves(
            [100 * row.train_accuracy for row in rows],
            [None if row.val_accuracy is None else 100 * row.val_accuracy for row in rows],
            ("training: every label right", "validation: mAP") if several else ("training", "validation"),
        ),
        title="Exact match and mAP" if several else "Accuracy",
        x_label="epoch",
        y_label="percent" if several else "percent right",
        width=460,
    )
    kept = f"The weights of epoch {story.best_epoch} were kept: they did best on the validation images. " * measured
    yield html.section(
        "How it learned",
        html.columns(html.figure(loss), html.figure(accuracy)),
        html.paragraph(
            f"{kept}Training figures are taken while the weights still change and on augmented images, "
            "so validation can be the better of the two."
            + (" Of a mixed image the heavier label counts as right." if story.batches.augmentation.mixing.on else "")
        ),
    )


def _seen(story: Story) -> Iterator[Html]:
    if story.dataset.train is None:
        return
    pictures, shown = first_batch(story.batches, count=FIRST)
    names = [_named(target, story.spec.classes) for target in shown]
    yield html.section(
        "What it sees",
        html.paragraph("The first images of the first step, decoded, resized and augmented as the network gets them."),
        html.gallery(
            *(html.image(p, alt=f"an image of {name}", caption=name) for p, name in zip(pictures, names, strict=True))
        ),
    )


def _named(target: list[tuple[int, float]], classes: tuple[str, ...]) -> str:
    """Return the caption of an image: a class, several, or the shares of several."""
    names = [classes[place] + (f" {percent(share)}" if share < 1 else "") for place, share in target]
    return ", ".join(names) or "none of the classes"


def _filters(story: Story) -> Iterator[Html]:
    found = first_filters(story.best_weights or {})
    if found is None:
        return
    name, weights = found
    count, _, height, width = weights.shape
    sheet = filter_sheet(weights)
    yield html.section(
        "What its first layer looks for",
        html.image(
            sheet,
            alt=f"the {count} filters of {name}, each {height} by {width}",
            caption=f"{count} filters of {name}, {height}×{width}. Light: positive weights; dark: negative; grey: 0.",
        ),
    )


def _images(story: Story) -> Html:
    dataset = story.dataset
    counts = {split: dataset.class_counts(split) for split in dataset.splits}
    columns = [Column("class"), *(Column(split, numeric=True) for split in counts)]
    rows = [(name, *(exact(counts[split][name]) for split in counts)) for name in dataset.classes]
    rows.append(("all", *(exact(dataset.counts[split]) for split in counts)))
    blocks = [html.table(Table.of(columns, rows)), *map(html.paragraph, (*dataset.notes, *dataset.notes_on_training))]
    if dataset.problems:
        listed = "\n".join(f"{problem.path}: {problem.reason}" for problem in dataset.problems[:PROBLEMS_SHOWN])
        more = len(dataset.problems) - PROBLEMS_SHOWN
        blocks.append(html.heading(f"Kept out: {plural(len(dataset.problems), 'image')}"))
        blocks.append(html.code(listed + (f"\n... and {more:,} more" if more > 0 else "")))
    if dataset.leaks:
        listed = "\n".join(f"{leak.first} is also {leak.second}" for leak in dataset.leaks[:PROBLEMS_SHOWN])
        blocks.append(html.details(f"In two splits: {plural(len(dataset.leaks), 'image')}", html.code(listed)))
    return html.section("The images", *blocks)


def _settings(story: Story) -> Html:
    columns = [Column("setting"), Column("value"), Column("what it does")]
    values = story.recipe.to_dict()
    rows = [(item.name, _shown(values[item.name]), str(item.metadata["help"])) for item in settings()]
    chosen = [html.paragraph(f"{reason[:1].upper()}{reason[1:]}.") for reason in story.reasons]
    return html.section("Settings", *chosen, html.details("Every setting", html.table(Table.of(columns, rows))))


def _files(story: Story) -> Html:
    columns = [Column("file"), Column("what it holds")]
    rows = [
        ("weights.safetensors", f"the best weights, of epoch {story.best_epoch}"),
        (
            "model.json",
            "the architecture, the classes and how images are prepared: with the weights, enough to predict",
        ),
        ("recipe.toml", "every setting: convscope train --recipe recipe.toml does it again"),
        ("checkpoint/", "what is needed to go on: convscope train --resume"),
        ("metrics.csv", "a row an epoch"),
        ("log.txt", "every message, with the time"),
        *([("split.csv", "which image went where")] if story.dataset.made_splits else []),
        ("report.html", "this page"),
    ]
    return html.section("What was written", html.paragraph(f"In {story.run}:"), html.table(Table.of(columns, rows)))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value != "" else "none"
