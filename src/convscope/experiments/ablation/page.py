"""An ablation on one page: the plot, the table, the curves, what was done; it opens anywhere and loads nothing."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import PurePath
from typing import TYPE_CHECKING

from convscope import __version__
from convscope.experiments.ablation.findings import estimate
from convscope.experiments.ablation.text import SPLIT_NAMES, ablation_table, notes_lines, order_lines
from convscope.experiments.ablation.variants import BASELINE
from convscope.recipe.recipe_file import to_toml
from convscope.report import html
from convscope.report.charts import Curve, line_chart
from convscope.report.html import Html
from convscope.report.intervals import IntervalRow, interval_plot
from convscope.report.shell import shell_quote
from convscope.report.svg import SERIES, Drawing
from convscope.report.table import Column, Table
from convscope.report.units import percent, plural, seconds

if TYPE_CHECKING:
    from convscope.experiments.ablation.record import Ablation


# Beside a variant that loses more points of accuracy than these, the others can't be told apart in one picture.
FAR = 20.0


def ablation_plot(ablation: Ablation, *, without: Collection[str] = ()) -> Drawing:
    """Each variant's accuracies, their mean and its interval, the most accurate on top, against the baseline's mean.

    `without` names variants that are left out, so that the axis is made for the others.
    """
    rows = []
    reference = None
    for found in ablation.order:
        if found.accuracy is None or found.variant.name in without:
            continue
        mean = 100 * found.accuracy.mean
        if found.variant.name == BASELINE:
            reference = mean
        rows.append(
            IntervalRow(
                name=found.variant.label,
                values=[100 * value for value in found.accuracies.values()],
                mean=mean,
                low=None if found.accuracy.low is None else 100 * found.accuracy.low,
                high=None if found.accuracy.high is None else 100 * found.accuracy.high,
                label=f"{mean:.1f} %",
                colour="green" if found.variant.name == BASELINE else "blue",
            )
        )
    return interval_plot(
        rows,
        title="Closer: those that end near the baseline" if without else "Accuracy with one thing removed",
        x_label=f"percent of {SPLIT_NAMES[ablation.measured_on]} images right",
        reference=reference,
        limits=(0, 100),
    )


def far_off(ablation: Ablation) -> tuple[str, ...]:
    """The variants that end more than FAR points from the baseline; none where too few would be left to compare."""
    accuracies = {found.variant.name: found.accuracy for found in ablation.order}
    baseline = accuracies.get(BASELINE)
    if baseline is None:
        return ()
    means = {name: 100 * found.mean for name, found in accuracies.items() if found is not None}
    far = tuple(name for name, mean in means.items() if abs(mean - 100 * baseline.mean) > FAR)
    return far if len(means) - len(far) > 1 else ()


def ablation_page(ablation: Ablation) -> str:
    """The page as HTML."""
    recipe = ablation.recipe
    footer = f"convscope {__version__}, {time.strftime('%Y-%m-%d %H:%M')}. This page is one file and needs no network."
    lead = (
        f"{recipe.model} on {recipe.data}, {plural(int(recipe.epochs), 'epoch')}, "
        f"{plural(len(ablation.plan.seeds), 'seed')}. Directory {ablation.run}."
    )
    return html.page(
        f"What each part is worth: {recipe.model} on {PurePath(recipe.data).name}",
        *_blocks(ablation),
        lead=lead,
        footer=footer,
    )


def ablation_fragment(ablation: Ablation) -> str:
    """The plot and the table for a notebook's cell."""
    return html.fragment(html.figure(ablation_plot(ablation)), html.table(ablation_table(ablation)))


def _blocks(ablation: Ablation) -> list[Html]:
    blocks = []
    if ablation.ending == "stopped":
        left = plural(len(ablation.plan.pending(ablation.trials)), "training")
        blocks.append(
            html.callout(
                "warning",
                f"This is not complete: {left} to go.",
                f"Go on with: {shell_quote('convscope', 'ablate', '--resume', ablation.run)}",
            )
        )
    diverged = [found for found in ablation.findings if found.diverged]
    for found in diverged:
        blocks.append(
            html.callout(
                "warning",
                f"{found.variant.label}: {found.diverged} of {len(ablation.plan.seeds)} trainings diverged "
                "(their loss stopped being a number) and are not in its mean.",
            )
        )
    found_lines = [html.paragraph(_sentence(line)) for line in order_lines(ablation)]
    far = far_off(ablation)
    figures = [html.figure(ablation_plot(ablation), _how_to_read())]
    figures += [html.figure(ablation_plot(ablation, without=far))] if far else []
    blocks.append(html.section("What each part is worth", *figures, *found_lines))
    blocks.append(html.section("In numbers", html.table(ablation_table(ablation))))
    if notes := notes_lines(ablation):
        rows = [(claim.text, claim.verdict) for claim in ablation.claims]
        table = html.table(Table.of([Column("expected"), Column("found")], rows))
        blocks.append(html.section("What the lecture notes expect", html.paragraph(_sentence(notes[0])), table))
    if any(trial.rows and trial.rows[0].val_accuracy is not None for trial in ablation.trials):
        labels = {found.variant.name: found.variant.label for found in ablation.findings}
        left_out = f" Not shown, so that the others can be told apart: {', '.join(labels[name] for name in far)}."
        caption = f"Mean over the seeds.{left_out if far else ''}"
        blocks.append(html.section("How they learned", html.figure(_curves(ablation, without=far), caption)))
    blocks.append(_what_was_done(ablation))
    return blocks


def _how_to_read() -> str:
    return (
        "Small dots are single trainings, the large dot is their mean, the bar its 95 % interval by Student's t. "
        "Trainings of one seed share split, order and initial weights, so the differences in the table are known "
        "better than the bars suggest."
    )


def _curves(ablation: Ablation, *, without: Collection[str]) -> Drawing:
    """Validation accuracy by epoch, mean over the seeds; of many variants those that lost most."""
    by_name = {found.variant.name: found for found in ablation.findings}
    others = (found.variant.name for found in ablation.order[::-1])
    names = [BASELINE, *(name for name in others if name != BASELINE and name not in without)]
    curves = []
    for name in names[: len(SERIES) - 2]:
        rows = [trial.rows for trial in ablation.trials if trial.variant == name]
        epochs = min((len(some) for some in rows), default=0)
        means = [estimate([v for some in rows if (v := some[i].val_accuracy) is not None]) for i in range(epochs)]
        ys = [None if mean is None else 100 * mean.mean for mean in means]
        if ys:
            curves.append(Curve(by_name[name].variant.label, list(range(1, epochs + 1)), ys))
    return line_chart(
        curves,
        title="Validation accuracy",
        x_label="epoch",
        y_label="percent of validation images right",
        width=900,
    )


def _what_was_done(ablation: Ablation) -> Html:
    recipe = ablation.recipe
    rows = [(v.label, v.name if v.name != BASELINE else "", v.how) for v in ablation.plan.variants]
    total = sum(trial.seconds for trial in ablation.trials)
    columns = [Column("variant"), Column("--without"), Column("what is done")]
    single = [
        (
            by_name[trial.variant],
            str(trial.seed),
            percent(trial.accuracy, decimals=2) if trial.accuracy is not None else "diverged",
            percent(trial.best_val_accuracy, decimals=2) if trial.best_val_accuracy is not None else "",
            seconds(trial.seconds),
        )
        for by_name in [{v.name: v.label for v in ablation.plan.variants}]
        for trial in ablation.trials
    ]
    each = [Column("variant"), *(Column(n, numeric=True) for n in ("seed", "accuracy", "best validation", "time"))]
    return html.section(
        "What was done",
        html.table(Table.of(columns, rows)),
        html.paragraph(
            f"One learning rate for all, {recipe.learning_rate:g} at its highest; {recipe.batch_size} images a step. "
            "A variant might do better at a rate of its own. The weights of the best validation epoch are measured. "
            f"{plural(len(ablation.trials), 'training')} took {seconds(total)} in all, with "
            f"{plural(int(recipe.threads), 'thread')} each."
        ),
        html.details("Every training", html.table(Table.of(each, single))),
        html.details("Every setting of the baseline (recipe.toml)", html.code(to_toml(recipe))),
    )


def _sentence(line: str) -> str:
    return line[:1].upper() + line[1:] + "."
