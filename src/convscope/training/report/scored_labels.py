"""The parts of the report that come from scores of several labels: each class's bars and figures, worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator

from convscope.data.records import ImageSet
from convscope.report.document import Block, Columns, Fact, Figure, Gallery, Heading, Image, Paragraph, Section
from convscope.report.table import Column, Table
from convscope.report.units import exact, interval, percent, plural
from convscope.scoring.label_scores import LabelMistake, LabelScore, LabelScores
from convscope.scoring.scores import SPLIT_TITLES
from convscope.training.report.pictures import plain

WORST = 12  # pictures of each kind of mistake


def headline(scores: LabelScores) -> Iterator[Fact]:
    """Give the figures that sum the scores up."""
    for name, value in (
        (f"{SPLIT_TITLES.get(scores.split, scores.split)} mAP", scores.mean_average_precision),
        ("Exact match", scores.exact_match),
        ("Macro F1", scores.macro_f1),
    ):
        yield Fact(name, percent(value, decimals=2), value)
    yield Fact("95 % interval of mAP", interval(scores.map_interval, name=""), list(scores.map_interval or ()) or None)


def classes(scores: LabelScores) -> Section:
    """Return bars of average precision beside all measures of each class."""
    columns = [
        Column("class"),
        Column("images", numeric=True, note="that show it"),
        Column("AP", numeric=True, note="average precision: the mean precision over all thresholds, by recall gained"),
        Column("ROC-AUC", numeric=True, note="how often an image that shows it has the higher probability"),
        Column(
            "precision", numeric=True, note=f"share of the images predicted to show it that do (from {_from(scores)})"
        ),
        Column(
            "recall",
            numeric=True,
            note=f"share of the images that show it that are predicted to (from {_from(scores)})",
        ),
        Column("F1", numeric=True, note="the harmonic mean of the two"),
    ]
    rows = [(item.name, *measures(item)) for item in scores.per_class]
    left_out = (
        [Paragraph(f"Not in the means, for no image shows them: {', '.join(scores.unmeasured)}.")]
        if scores.unmeasured
        else []
    )
    text = (
        f"Exact match: every class of an image predicted correctly, from a probability of {_from(scores)} on. "
        "Average precision and ROC-AUC depend on the order of the images alone, at any threshold."
    )
    return Section(
        "Class by class", (Columns((Figure(scores.figure), Table.of(columns, rows))), Paragraph(text), *left_out)
    )


def measures(item: LabelScore) -> tuple[str, ...]:
    """Return a class's figures as text: images, AP, ROC-AUC, precision, recall, F1."""
    shares = (item.average_precision, item.roc_auc, item.precision, item.recall, item.f1)
    return (exact(item.images), *(percent(share) for share in shares))


def mistakes(scores: LabelScores, images: ImageSet) -> Section:
    """Return false positives and false negatives as pictures, those of the highest confidence first."""
    if not scores.wrong:
        return Section("Worst mistakes", (Paragraph("None: every class of every image was predicted correctly."),))
    positives = [mistake for mistake in scores.mistakes if not mistake.shown]
    negatives = [mistake for mistake in scores.mistakes if mistake.shown]
    blocks: list[Block] = [
        Paragraph(
            f"{plural(scores.wrong, 'class', 'classes')} of {plural(scores.images, 'image')} "
            f"{'was' if scores.wrong == 1 else 'were'} predicted wrongly. "
            "These are the predictions of the highest confidence; a wrong label is often among them."
        )
    ]
    for title, group in (("False positives", positives), ("False negatives", negatives)):
        if group:
            shown = tuple(_picture(mistake, scores, images) for mistake in group[:WORST])
            blocks += [Heading(title), Gallery(shown)]
    return Section("Worst mistakes", tuple(blocks), page_only=True)


def _picture(mistake: LabelMistake, scores: LabelScores, images: ImageSet) -> Image:
    caption = f"{scores.classes[mistake.label]}: {percent(mistake.probability)}"
    alt = f"{mistake.name}: {caption}, and it {'is' if mistake.shown else 'is not'} there"
    return Image(plain(images.images[mistake.row]), alt, caption, tip=mistake.name)


def _from(scores: LabelScores) -> str:
    return percent(scores.threshold, decimals=0)
