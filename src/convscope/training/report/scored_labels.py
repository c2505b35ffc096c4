"""The parts of the report that come from scores of several labels: each class's bars and figures, worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator

from convscope.data.records import ImageSet
from convscope.report import html
from convscope.report.charts import bar_chart
from convscope.report.html import Html
from convscope.report.table import Column, Table
from convscope.report.units import exact, percent, plural
from convscope.scoring.multi_label import LabelMistake, LabelScore, LabelScores
from convscope.training.report.pictures import plain

WORST = 12  # pictures of each kind of mistake
MOST_BARS = 40  # classes; of more, those with the lowest average precision are drawn


def headline(scores: LabelScores) -> Iterator[tuple[str, str]]:
    """Yield the figures that sum it up."""
    name = {"test": "Test", "val": "Validation"}.get(scores.split, scores.split)
    yield f"{name} mAP", percent(scores.mean_average_precision, decimals=2)
    yield "Exact match", percent(scores.exact_match, decimals=2)
    yield "Macro F1", percent(scores.macro_f1)


def classes(scores: LabelScores) -> Html:
    """How well each class is found: bars of average precision beside all its measures."""
    measured = [item for item in scores.per_class if item.average_precision is not None]
    drawn = sorted(measured, key=_precision)[:MOST_BARS] if len(measured) > MOST_BARS else measured
    chart = bar_chart(
        [(item.name, _precision(item)) for item in drawn],
        title="Average precision" + (f", the {MOST_BARS} lowest" if len(drawn) < len(measured) else ""),
        labels=[percent(_precision(item)) for item in drawn],
        largest=1.0,
        width=460,
    )
    columns = [
        Column("class"),
        Column("images", numeric=True, note="that show it"),
        Column("AP", numeric=True, note="average precision: the mean precision over all thresholds, by recall gained"),
        Column("ROC-AUC", numeric=True, note="how often an image that shows it has the higher probability"),
        Column("precision", numeric=True, note=f"of the images said to show it, how many do (from {_from(scores)})"),
        Column(
            "recall", numeric=True, note=f"of the images that show it, how many were said to (from {_from(scores)})"
        ),
        Column("F1", numeric=True, note="the harmonic mean of the two"),
    ]
    rows = [(item.name, *measures(item)) for item in scores.per_class]
    left_out = (
        [html.paragraph(f"Not in the means, for no image shows them: {', '.join(scores.unmeasured)}.")]
        if scores.unmeasured
        else []
    )
    return html.section(
        "Class by class",
        html.columns(html.figure(chart), html.table(Table.of(columns, rows))),
        html.paragraph(
            f"Exact match: every class of an image judged rightly, from a probability of {_from(scores)} on. "
            "Average precision and ROC-AUC ask for the order of the images alone, at any threshold."
        ),
        *left_out,
    )


def measures(item: LabelScore) -> tuple[str, ...]:
    """Return a class's figures as text: images, AP, ROC-AUC, precision, recall, F1."""
    shares = (item.average_precision, item.roc_auc, item.precision, item.recall, item.f1)
    return (exact(item.images), *(percent(share) for share in shares))


def mistakes(scores: LabelScores, images: ImageSet) -> Html:
    """Classes that were seen where they are not, and those that were missed, as pictures; the surest first."""
    if not scores.wrong:
        return html.section("Worst mistakes", html.paragraph("None: every class of every image was judged rightly."))
    seen = [mistake for mistake in scores.mistakes if not mistake.shown]
    missed = [mistake for mistake in scores.mistakes if mistake.shown]
    blocks = [
        html.paragraph(
            f"{plural(scores.wrong, 'class', 'classes')} of {scores.images:,} images were judged wrongly. "
            "Here are those that the network was surest of; a wrong label shows up here first."
        )
    ]
    for title, group in (("Seen, but not there", seen), ("There, but missed", missed)):
        if group:
            blocks.append(html.heading(title))
            blocks.append(html.gallery(*(_picture(mistake, scores, images) for mistake in group[:WORST])))
    return html.section("Worst mistakes", *blocks)


def _picture(mistake: LabelMistake, scores: LabelScores, images: ImageSet) -> Html:
    caption = f"{scores.classes[mistake.label]}: {percent(mistake.probability)}"
    alt = f"{mistake.name}: {caption}, and it {'is' if mistake.shown else 'is not'} there"
    return html.image(plain(images.images[mistake.row]), alt=alt, caption=caption, tip=mistake.name)


def _precision(item: LabelScore) -> float:
    return item.average_precision or 0.0


def _from(scores: LabelScores) -> str:
    return percent(scores.threshold, decimals=0)
