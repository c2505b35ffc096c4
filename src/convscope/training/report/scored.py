"""The parts of a report that come from scores: confusions, worst mistakes, classes, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from convscope.data.records import ImageSet
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Code, Columns, Details, Fact, Figure, Gallery, Image, Paragraph, Section
from convscope.report.table import Cell, Column, Table
from convscope.report.units import exact, interval, percent, plural
from convscope.scoring.defect_rule import rate
from convscope.scoring.scores import SPLIT_TITLES, Scores
from convscope.scoring.threshold_curves import DRAWN, ThresholdCurve, precision_recall_figure, roc_figure
from convscope.training.report.pictures import plain

WORST = 24
CONFUSIONS = 12
CALIBRATION_IMAGES = 5  # bins of fewer are left out
FEWEST_BINS = 3  # points that a curve needs
NARROW_MATRIX = 540  # pixels: beside a table its text is legible up to this width, at 0.85 of its size


def headline(scores: Scores) -> Iterator[Fact]:
    """Give the figures that sum the scores up."""
    yield _share(f"{SPLIT_TITLES.get(scores.split, scores.split)} accuracy", scores.accuracy_top1)
    yield Fact("95 % interval", interval(scores.accuracy_interval, name=""), list(scores.accuracy_interval))
    right = scores.right
    yield Fact("Correct", f"{right:,} of {scores.images:,}", right)
    yield _share("Balanced accuracy", scores.balanced_accuracy)
    yield _share("Macro F1", scores.macro_f1)
    if scores.accuracy_top5 is not None:
        yield _share("Top-5 accuracy", scores.accuracy_top5)
    if scores.defects is not None:
        for fact in scores.defects.facts()[:2]:
            yield fact._replace(name=fact.name.capitalize())


def defects(scores: Scores) -> Iterator[Section]:
    """Give missed defects and false alarms, and both rates at every threshold, where one class is the good one."""
    found = scores.defects
    if found is None:
        return
    rule = found.rule
    text = (
        f"Good images are those of the class {rule.good_class}; every other class is a defect. An image whose defect "
        f"score, 1 - P({rule.good_class}), is at least {rule.threshold:.3g} is flagged. "
    )
    if rule.miss_rate is not None and rule.defects is not None:
        text += (
            f"This threshold was chosen on {plural(rule.defects, 'defect')} among the validation images, so that at "
            f"most {rate(rule.miss_rate)} of new defects of the same kind are missed on average. "
        )
    else:
        text += "To choose it for a wanted share of missed defects, train with a miss rate. "
    shares = (("Missed defects", found.missed), ("False alarms", found.false_alarms))
    rows = [(name, share.text) for name, share in shares]
    table = Table.of([Column("rate"), Column(f"on {plural(scores.images, f'{scores.split} image')}")], rows)
    by_class = found.table()
    tables = (table, *([by_class] if by_class else []))
    yield Section("Missed defects and false alarms", (Paragraph(text), *tables, *_curves(scores.shown_curves)))


def curves(shown: Sequence[ThresholdCurve]) -> Iterator[Section]:
    """Give the ROC and precision-recall curves of classes, each against all others."""
    if shown:
        yield Section("ROC and precision-recall", _curves(shown))


def _curves(shown: Sequence[ThresholdCurve]) -> tuple[Block, ...]:
    if not shown:
        return ()
    text = "AUC is the area under the ROC curve; AP, average precision, that under the precision-recall curve."
    if len(shown) > 1:
        text = f"Each class against all others; of more than {DRAWN} classes those with the lowest AP. {text}"
    return (
        Columns((Figure(partial(roc_figure, shown)), Figure(partial(precision_recall_figure, shown)))),
        Paragraph(text),
    )


def _share(name: str, value: float) -> Fact:
    return Fact(name, percent(value, decimals=2), value)


def confusion(scores: Scores) -> Section:
    """Return the confusion matrix and the most frequent mistakes."""
    classes, support = scores.classes, scores.counts.support
    wrong = scores.counts.wrong.most_frequent(CONFUSIONS)
    blocks: list[Block] = [Figure(scores.figure)]
    beside = scores.figure().width <= NARROW_MATRIX
    if wrong:
        columns = [
            Column("true class"),
            Column("predicted"),
            Column("images", numeric=True),
            Column("of the class", numeric=True),
        ]
        rows = [
            (classes[true], classes[predicted], (exact(images), images), _percent(images / int(support[true])))
            for true, predicted, images in wrong
        ]
        blocks.append(Table.of(columns, rows, title="The most frequent mistakes"))
    return Section("Confusion matrix", (Columns(tuple(blocks)),) if beside else tuple(blocks))


def _percent(value: float | None) -> Cell:
    return percent(value), value


def mistakes(scores: Scores, images: ImageSet) -> Section:
    """Return the wrong predictions of the highest confidence as pictures; `images` are those that were measured."""
    if not scores.mistakes:
        return Section("Worst mistakes", (Paragraph("None: every image was predicted correctly."),))
    shown = []
    for mistake in scores.mistakes[:WORST]:
        true, predicted = scores.classes[mistake.true], scores.classes[mistake.predicted]
        caption = f"{true} predicted as {predicted}, confidence {percent(mistake.confidence)}"
        alt = f"{mistake.name}: {caption}"
        shown.append(Image(plain(images.images[mistake.row]), alt, caption, tip=mistake.name))
    count = len(scores.mistakes)
    text = (
        f"{plural(count, 'image')} of {scores.images:,} {'was' if count == 1 else 'were'} predicted wrongly. "
        "These are the predictions of the highest confidence; a wrong label is often among them."
    )
    files = "\n".join(mistake.name for mistake in scores.mistakes[:WORST])
    return Section("Worst mistakes", (Paragraph(text), Gallery(tuple(shown)), Details("Their files", (Code(files),))))


def classes(scores: Scores) -> Section:
    """Return precision, recall and F1 of each class, beside the calibration."""
    columns = [
        Column("class"),
        Column("images", numeric=True),
        Column("precision", numeric=True, note="share of the images predicted as this class that are"),
        Column("recall", numeric=True, note="share of the images of this class predicted as it"),
        Column("F1", numeric=True, note="the harmonic mean of the two"),
    ]
    rows = [
        (score.name, (exact(score.images), score.images), *map(_percent, (score.precision, score.recall, score.f1)))
        for score in scores.per_class
    ]
    return Section("Per class, and calibration", (Columns((Table.of(columns, rows), _calibration(scores))),))


def _calibration(scores: Scores) -> Block:
    enough = max(CALIBRATION_IMAGES, scores.images // 200)
    bins = [item for item in scores.calibration if item.images >= enough]
    error = percent(scores.calibration_error)
    differ = (
        f"Confidence and accuracy differ by {error} on average{scores.before_temperature}: "
        "the expected calibration error over 15 bins."
    )
    if len(bins) < FEWEST_BINS:
        return Paragraph(differ)
    confidence = [100 * item.confidence for item in bins if item.confidence is not None]
    right = [100 * item.accuracy for item in bins if item.accuracy is not None]
    chart = line_chart(
        [Curve("this network", confidence, right), Curve("perfectly calibrated", [0, 100], [0, 100])],
        title="Calibration",
        x_label="confidence, %",
        y_label="accuracy, %",
        y_limits=(0, 100),
        width=460,
    )
    return Figure(
        chart,
        f"Accuracy by confidence (bins of {enough} images or more). {differ} "
        "Above the dashed line the network is underconfident, below it overconfident.",
    )
