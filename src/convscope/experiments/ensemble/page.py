"""An ensemble as a document: its members, what averaging gains, how far they agree, what it still gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from convscope.data.records import ImageSet
from convscope.experiments.ensemble.scores import EnsembleScores
from convscope.nets.own_code import without_folders
from convscope.recipe.recipe import Recipe
from convscope.report.document import (
    Callout,
    Code,
    Columns,
    Document,
    Facts,
    Figure,
    Paragraph,
    Section,
    dated_footer,
    sentence,
)
from convscope.report.table import Cell, Column, Table
from convscope.report.units import percent, plural
from convscope.report.usage import call_text
from convscope.runs.run_directory import Run
from convscope.training.report import scored

LARGEST_AGREEMENT = 12  # members whose agreements fit a table


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
    ensemble = scores.ensemble
    facts = (*scored.headline(ensemble), *scores.facts())
    figures = Columns((Figure(scores.accuracies_figure), Figure(scores.growth_figure)))
    return Document(
        f"Ensemble of {without_folders(recipe.model)} on {PurePath(recipe.data).name}",
        (
            Section("Members and ensemble", (figures,)),
            _members(members, scores),
            *scored.defects(ensemble),
            scored.confusion(ensemble),
            scored.mistakes(ensemble, images),
            scored.classes(ensemble),
            *([] if ensemble.defects else scored.curves(ensemble.curves)),
            _use(run, members[0]),
        ),
        lead=f"{plural(len(members), 'network')} of {without_folders(recipe.model)}, trained on the same images of "
        f"{recipe.data}, each with a seed of its own; their probabilities are averaged. Directory {run}.",
        summary=(Facts(facts), *(Callout("warning", sentence(caution)) for caution in cautions)),
        footer=dated_footer(),
    )


def _members(members: Sequence[Run], scores: EnsembleScores) -> Section:
    names = [member.path.name for member in members]
    columns = [Column("member"), Column("accuracy", numeric=True)]
    rows: list[list[Cell]] = [
        [name, (percent(accuracy, decimals=2), accuracy)] for name, accuracy in zip(names, scores.members, strict=True)
    ]
    note = ""
    if len(members) <= LARGEST_AGREEMENT:
        columns += [Column(name, numeric=True) for name in names]
        for row, shares in zip(rows, scores.agreement.tolist(), strict=True):
            row += [(percent(share), share) for share in shares]
        note = "The other columns are the shares of images that two members predict alike, right or wrong. "
    note += "Members whose errors are on different images gain most by averaging."
    return Section("Members, and their agreement", (Paragraph(note), Table.of(columns, rows)))


def _use(run: Run, member: Run) -> Section:
    lines = [call_text("evaluate", run), call_text("predict", run, "new/")]
    text = (
        "evaluate and predict take the ensemble as one network. Commands that show a network's layers take a member, "
        f"such as {member}."
    )
    return Section("Use it", (Code("\n".join(lines)), Paragraph(text)))
