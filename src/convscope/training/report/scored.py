"""The parts of the report that come from scores: confusions, worst mistakes, classes, calibration."""

from __future__ import annotations

import numpy as np

from convscope.data.records import ImageSet
from convscope.report import html
from convscope.report.charts import Curve, confusion_matrix, line_chart
from convscope.report.html import Html
from convscope.report.table import Column, Table
from convscope.report.units import exact, percent, plural
from convscope.scoring.metrics import Scores
from convscope.training.report.pictures import plain

WORST = 24
CONFUSIONS = 12
CALIBRATION_IMAGES = 5  # a bin of fewer says nothing
FEWEST_BINS = 3  # points that a curve needs
LARGEST_MATRIX = 40  # classes; of more, those with the most mistakes are shown
SMALL_MATRIX = 12  # classes up to which the table stands beside the matrix, when their names are short
SHORT_NAME = 14  # characters


def confusion(scores: Scores) -> Html:
    """Which classes are taken for which."""
    counts, classes = scores.confusion, scores.classes
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    pairs = [(int(i), int(j)) for i, j in zip(*np.nonzero(wrong), strict=True)]
    pairs.sort(key=lambda pair: (-wrong[pair], pair))
    blocks: list[Html] = []
    if len(classes) <= LARGEST_MATRIX:
        blocks.append(html.figure(confusion_matrix(counts, classes, title=f"{_split_name(scores)} images")))
    else:
        worst = np.sort(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:LARGEST_MATRIX])
        some = counts[np.ix_(worst, worst)]
        title = f"The {LARGEST_MATRIX} classes with the most mistakes, of {len(classes):,}"
        blocks.append(html.figure(confusion_matrix(some, [classes[i] for i in worst], title=title)))
    beside = len(classes) <= SMALL_MATRIX and max(map(len, classes)) <= SHORT_NAME
    if pairs:
        columns = [
            Column("true class"),
            Column("predicted"),
            Column("images", numeric=True),
            Column("of the class", numeric=True),
        ]
        rows = [
            (classes[i], classes[j], exact(int(wrong[i, j])), percent(int(wrong[i, j]) / max(1, int(counts[i].sum()))))
            for i, j in pairs[:CONFUSIONS]
        ]
        blocks.append(html.table(Table.of(columns, rows, title="The most frequent mistakes")))
    return html.section("Confusion matrix", html.columns(*blocks) if beside else html.join(*blocks))


def mistakes(scores: Scores, images: ImageSet) -> Html:
    """Return the wrong answers that the network was surest of, as pictures; `images` are those that were measured."""
    if not scores.mistakes:
        return html.section("Worst mistakes", html.paragraph("None: every one of these images was named rightly."))
    shown = []
    for mistake in scores.mistakes[:WORST]:
        true, called = scores.classes[mistake.true], scores.classes[mistake.predicted]
        caption = f"{true} predicted as {called}, confidence {percent(mistake.confidence)}"
        alt = f"{mistake.name}: {caption}"
        shown.append(html.image(plain(images.images[mistake.row]), alt=alt, caption=caption, tip=mistake.name))
    return html.section(
        "Worst mistakes",
        html.paragraph(
            f"{plural(len(scores.mistakes), 'image')} of {scores.images:,} were named wrongly. "
            f"Here are those that the network was surest of; a wrong label shows up here first."
        ),
        html.gallery(*shown),
        html.details("Their files", html.code("\n".join(mistake.name for mistake in scores.mistakes[:WORST]))),
    )


def classes(scores: Scores) -> Html:
    """Precision, recall and F1 of each class, beside the calibration."""
    columns = [
        Column("class"),
        Column("images", numeric=True),
        Column("precision", numeric=True, note="share of the images predicted as this class that are"),
        Column("recall", numeric=True, note="share of the images of this class predicted as it"),
        Column("F1", numeric=True, note="the harmonic mean of the two"),
    ]
    rows = [
        (score.name, exact(score.images), percent(score.precision), percent(score.recall), percent(score.f1))
        for score in scores.per_class
    ]
    table = html.table(Table.of(columns, rows))
    return html.section("Per class, and calibration", html.columns(table, _calibration(scores)))


def _calibration(scores: Scores) -> Html:
    enough = max(CALIBRATION_IMAGES, scores.images // 200)
    bins = [item for item in scores.calibration if item.images >= enough]
    error = percent(scores.calibration_error)
    differ = f"Confidence and accuracy differ by {error} on average: the expected calibration error over 15 bins."
    if len(bins) < FEWEST_BINS:
        return html.paragraph(differ)
    sure = [100 * item.confidence for item in bins if item.confidence is not None]
    right = [100 * item.accuracy for item in bins if item.accuracy is not None]
    chart = line_chart(
        [Curve("this network", sure, right), Curve("perfectly calibrated", [0, 100], [0, 100])],
        title="Calibration",
        x_label="confidence, %",
        y_label="percent right",
        y_limits=(0, 100),
        width=460,
    )
    return html.figure(
        chart,
        f"How often it is right when it is so sure (bins of {enough} images or more). {differ} "
        "Above the dashed line it is better than it says; below, worse.",
    )


def _split_name(scores: Scores) -> str:
    return {"test": "Test", "val": "Validation"}.get(scores.split, scores.split)
