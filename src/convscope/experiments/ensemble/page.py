"""An ensemble as a document: its members, what averaging gains, how far they agree, what it still gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from convscope.data.records import ImageSet
from convscope.experiments.ensemble.scores import EnsembleScores
from convscope.recipe.recipe import Recipe
from convscope.report.charts import Curve, line_chart
from convscope.report.document import (
    Callout,
    Code,
    Columns,
    Document,
    Fact,
    Facts,
    Figure,
    Paragraph,
    Section,
    dated_footer,
    sentence,
)
from convscope.report.intervals import IntervalRow, interval_plot
from convscope.report.printable import shell_quote
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Table
from convscope.report.units import percent, plural
from convscope.runs.run_directory import Run
from convscope.training.report import scored

LARGEST_AGREEMENT = 12  # members whose agreements fit a table
SPLIT_NAMES = {"test": "test", "val": "validation"}


def ensemble_document(
    run: Run,
    recipe: Recipe,
    members: Sequence[Run],
    scores: EnsembleScores,
    images: ImageSet,
    *,
    cautions: Sequence[str] = (),
) -> Document:
    """Return the report of an ensemble; `images` are those that were measured, `cautions` warnings on the scores."""
    together = scores.together
    gain = 100 * (together.accuracy_top1 - scores.mean)
    facts = (
        *scored.headline(together),
        Fact("Mean of its members", percent(scores.mean, decimals=2), scores.mean),
        Fact("Gained by averaging", f"{gain:+.2f} points", gain),
        Fact("Two members agree on", percent(scores.mean_agreement), scores.mean_agreement),
        Fact("Members", str(len(members)), len(members)),
    )
    return Document(
        f"Ensemble of {recipe.model} on {PurePath(recipe.data).name}",
        (
            Section("Members and ensemble", (Columns((Figure(_plot(scores)), Figure(_growth(scores)))),)),
            _members(members, scores),
            scored.confusion(together),
            scored.mistakes(together, images),
            scored.classes(together),
            _use(run, members[0]),
        ),
        lead=f"{plural(len(members), 'network')} of {recipe.model}, trained on the same images of {recipe.data}, each "
        f"with a seed of its own; their probabilities are averaged. Directory {run}.",
        summary=(Facts(facts), *(Callout("warning", sentence(caution)) for caution in cautions)),
        footer=dated_footer(),
    )


def _plot(scores: EnsembleScores) -> Drawing:
    together, mean = 100 * scores.together.accuracy_top1, 100 * scores.mean
    return interval_plot(
        [
            IntervalRow("together", [], together, None, None, f"{together:.2f} %", "green"),
            IntervalRow("alone", [100 * value for value in scores.alone], mean, None, None, f"{mean:.2f} %"),
        ],
        title="Each member, their mean, and the ensemble",
        x_label=f"accuracy on {SPLIT_NAMES[scores.together.split]} images, %",
        width=460,
    )


def _growth(scores: EnsembleScores) -> Drawing:
    return line_chart(
        [Curve("the first members, averaged", range(1, len(scores.first) + 1), [100 * s for s in scores.first])],
        title="Accuracy by number of members",
        x_label="members",
        y_label="accuracy, %",
        width=460,
        height=240,
    )


def _members(members: Sequence[Run], scores: EnsembleScores) -> Section:
    names = [member.path.name for member in members]
    columns = [Column("member"), Column("alone", numeric=True)]
    rows: list[list[Cell]] = [
        [name, (percent(alone, decimals=2), alone)] for name, alone in zip(names, scores.alone, strict=True)
    ]
    note = "Alone is a member's accuracy."
    if len(members) <= LARGEST_AGREEMENT:
        columns += [Column(name, numeric=True) for name in names]
        for row, shares in zip(rows, scores.agreement.tolist(), strict=True):
            row += [(percent(share), share) for share in shares]
        note += " The columns after it are the shares of images that two members predict alike, right or wrong."
    note += " Members whose errors are on different images gain most by averaging."
    return Section("Members, and their agreement", (Paragraph(note), Table.of(columns, rows)))


def _use(run: Run, member: Run) -> Section:
    lines = [shell_quote("convscope", "evaluate", run), f"{shell_quote('convscope', 'predict', run)} new/*.jpg"]
    text = (
        "evaluate and predict take the ensemble as one network. Commands that show a network's layers take a member, "
        f"such as {member}."
    )
    return Section("Use it", (Code("\n".join(lines)), Paragraph(text)))
