"""An ensemble on one page: its members, what averaging gains, how far they agree, what it still gets wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePath

from convscope import __version__
from convscope.data.records import ImageSet
from convscope.experiments.ensemble.scores import EnsembleScores
from convscope.recipe.recipe import Recipe
from convscope.report import html
from convscope.report.charts import Curve, line_chart
from convscope.report.html import Html
from convscope.report.intervals import IntervalRow, interval_plot
from convscope.report.shell import shell_quote
from convscope.report.svg import Drawing
from convscope.report.table import Column, Table
from convscope.report.units import percent, plural
from convscope.runs.run_directory import Run
from convscope.training.report import scored

LARGEST_AGREEMENT = 12  # members whose agreements fit a table
SPLIT_NAMES = {"test": "test", "val": "validation"}


def ensemble_page(
    run: Run,
    recipe: Recipe,
    members: Sequence[Run],
    scores: EnsembleScores,
    images: ImageSet,
    *,
    cautions: Sequence[str] = (),
) -> str:
    """Return the page as HTML; `images` are the measured ones, `cautions` the notes on the scores."""
    together = scores.together
    gain = 100 * (together.accuracy_top1 - scores.mean)
    what = SPLIT_NAMES[together.split]
    figures = [
        (f"{what.capitalize()} accuracy", percent(together.accuracy_top1, decimals=2)),
        ("Balanced accuracy", percent(together.balanced_accuracy, decimals=2)),
        ("Macro F1", percent(together.macro_f1, decimals=2)),
        ("Mean of its members", percent(scores.mean, decimals=2)),
        ("Gained by averaging", f"{gain:+.2f} points"),
        ("Two members agree on", percent(scores.mean_agreement)),
        ("Members", str(len(members))),
    ]
    lead = (
        f"{plural(len(members), 'network')} of {recipe.model} learned the same images of {recipe.data}, each from "
        f"a seed of its own; their probabilities are averaged. Directory {run}."
    )
    footer = f"convscope {__version__}, {time.strftime('%Y-%m-%d %H:%M')}. This page is one file and needs no network."
    return html.page(
        f"An ensemble of {recipe.model} on {PurePath(recipe.data).name}",
        html.facts(figures),
        *(html.callout("warning", f"{caution[:1].upper()}{caution[1:]}.") for caution in cautions),
        html.section("Alone and together", html.columns(html.figure(_plot(scores)), html.figure(_growth(scores)))),
        _members(members, scores),
        scored.confusion(together),
        scored.mistakes(together, images),
        scored.classes(together),
        _use(run, members[0]),
        lead=lead,
        footer=footer,
    )


def _plot(scores: EnsembleScores) -> Drawing:
    together, mean = 100 * scores.together.accuracy_top1, 100 * scores.mean
    return interval_plot(
        [
            IntervalRow("together", [], together, None, None, f"{together:.2f} %", "green"),
            IntervalRow("alone", [100 * value for value in scores.alone], mean, None, None, f"{mean:.2f} %"),
        ],
        title="Each member, their mean, and the ensemble",
        x_label=f"percent of {SPLIT_NAMES[scores.together.split]} images right",
        width=460,
    )


def _growth(scores: EnsembleScores) -> Drawing:
    return line_chart(
        [Curve("the first members, averaged", range(1, len(scores.first) + 1), [100 * s for s in scores.first])],
        title="What a further member adds",
        x_label="members",
        y_label="percent right",
        width=460,
        height=240,
    )


def _members(members: Sequence[Run], scores: EnsembleScores) -> Html:
    names = [member.path.name for member in members]
    columns = [Column("member"), Column("alone", numeric=True)]
    rows = [[name, percent(alone, decimals=2)] for name, alone in zip(names, scores.alone, strict=True)]
    note = "Alone is a member's accuracy."
    if len(members) <= LARGEST_AGREEMENT:
        columns += [Column(name, numeric=True) for name in names]
        for row, shares in zip(rows, scores.agreement.tolist(), strict=True):
            row += [percent(share) for share in shares]
        note += (
            " The columns after it are the shares of images on which two members give the same class, right or wrong."
        )
    note += " Members that err on different images gain most by averaging."
    return html.section("Its members, and where they agree", html.paragraph(note), html.table(Table.of(columns, rows)))


def _use(run: Run, member: Run) -> Html:
    lines = [shell_quote("convscope", "evaluate", run), f"{shell_quote('convscope', 'predict', run)} new/*.jpg"]
    return html.section(
        "Use it",
        html.code("\n".join(lines)),
        html.paragraph(
            "evaluate and predict take the ensemble for one network. Commands that look into a network take a member, "
            f"such as {member}."
        ),
    )
