"""What an ablation came to, as a record with its plot, its tables and its page."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from convscope.experiments.ablation.findings import (
    NOTES_ORDER,
    Expectation,
    Finding,
    findings_table,
    order_lines,
    ordered,
)
from convscope.experiments.ablation.norms import gradient_lines, norms_figure
from convscope.experiments.ablation.plan import AblationPlan
from convscope.experiments.ablation.statistics import estimate
from convscope.experiments.ablation.trial import Trial
from convscope.experiments.ablation.variants import BASELINE, VARIANTS
from convscope.nets.own_code import without_folders
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.report.charts import Curve, line_chart
from convscope.report.document import (
    Block,
    Callout,
    Code,
    Details,
    Document,
    Figure,
    Paragraph,
    Section,
    dated_footer,
    sentence,
)
from convscope.report.documented import Pictured
from convscope.report.intervals import IntervalRow, interval_plot
from convscope.report.json_values import json_dict
from convscope.report.short_repr import short_path
from convscope.report.svg import SERIES, Drawing
from convscope.report.table import Column, Table
from convscope.report.units import percent, plural, seconds
from convscope.report.usage import call_text, setting_name
from convscope.runs.run_directory import Run
from convscope.scoring.scores import SPLIT_NAMES
from convscope.training.timing.forecast import Forecast

# Beside a variant that loses more points of accuracy than these, the others can not be distinguished in one picture.
FAR = 20.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Ablation(Pictured):
    """What came out: the directory, how it ended, the plan, every training, what was found.

    `ending` is "done", "stopped" (by a callback) or "interrupted" (by Ctrl-C or a signal).
    `trouble` says why nothing could be found, and what to do; it is empty where something was.
    """

    run: Run
    recipe: Recipe
    ending: str
    exit_code: int
    plan: AblationPlan
    trials: tuple[Trial, ...]
    measured_on: str
    findings: tuple[Finding, ...]
    claims: tuple[Expectation, ...]
    trouble: str = ""
    # Of the trainings that were still to be done.
    forecast: Forecast | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or a signal ended it."""
        return self.ending == "interrupted"

    @property
    def report(self) -> Path:
        """The page."""
        return self.run.report

    @property
    def order(self) -> list[Finding]:
        """The findings, the most accurate first."""
        return ordered(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the ablation as JSON's types.

        Keys:
            run: the directory of the ablation.
            ending: done, stopped (by a callback) or interrupted (by Ctrl-C or a signal).
            trouble: why nothing could be found, and what to do; empty where something was.
            model: the baseline's network.
            data: what is trained on.
            epochs: of each training.
            seeds: each variant is trained with each.
            measured_on: test, or val without a test split.
            findings: of each variant, the baseline first: accuracies, difference, cost.
            order: the names of the variants, the most accurate first.
            notes: what the lecture notes expect, and what was found of it.
            forecast: of the trainings that were still to be done, with the keys of one training's; None without one.
            report: the page.
        """
        return json_dict(
            {
                "run": str(self.run.path),
                "ending": self.ending,
                "trouble": self.trouble,
                "model": self.recipe.model,
                "data": self.recipe.data,
                "epochs": self.recipe.epochs,
                "seeds": self.plan.seeds,
                "measured_on": self.measured_on,
                "findings": [found.to_dict() for found in self.findings],
                "order": [found.variant.name for found in self.order],
                "notes": [{"claim": claim.text, "found": claim.verdict} for claim in self.claims],
                "forecast": None if self.forecast is None else self.forecast.to_dict(),
                "report": str(self.report),
            }
        )

    def headline(self) -> str:
        """Return the name, how it ended, and the variant that costs the most accuracy."""
        plan = f"{plural(len(self.plan.variants), 'variant')} × {plural(len(self.plan.seeds), 'seed')}"
        lost = [
            f", {found.variant.label} {100 * found.difference.mean:+.2f} points"
            for found in self.order
            if found.difference is not None
        ]
        return f"{short_path(self.run.path.name)}: {self.ending}, {plan}{''.join(lost[-1:])}"

    def document(self) -> Document:
        """Return what is shown: the accuracies by variant, the order found, the curves, and what was done."""
        recipe = self.recipe
        return Document(
            f"Ablation of {without_folders(recipe.model)} on {PurePath(recipe.data).name}",
            tuple(_blocks(self)),
            lead=f"{without_folders(recipe.model)} on {recipe.data}, {plural(int(recipe.epochs), 'epoch')}, "
            f"{plural(len(self.plan.seeds), 'seed')}. Directory {self.run}.",
            summary=tuple(_remarks(self)),
            footer=dated_footer(),
        )

    def table(self) -> Table:
        """Return a row a variant, the baseline first: accuracy, difference, cost."""
        split = SPLIT_NAMES[self.measured_on]
        return findings_table(self.findings, split=split, planned=len(self.plan.seeds))

    def order_lines(self) -> list[str]:
        """Return the order found and which differences the seeds decide; or why there is none."""
        return [self.trouble] if self.trouble else order_lines(self.findings, planned=len(self.plan.seeds))

    def figure(self, *, without: Collection[str] = ()) -> Drawing:
        """Draw each variant's accuracies, their mean and its interval, the best on top, against the baseline's mean.

        `without` names variants that are left out, so that the axis is made for the others.
        """
        rows = []
        reference = None
        for found in self.order:
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
            x_label=f"accuracy on {SPLIT_NAMES[self.measured_on]} images, %",
            reference=reference,
            limits=(0, 100),
        )

    def norms_figure(self) -> Drawing | None:
        """Draw the norms of layers' outputs and gradients over a training of each variant; None without any.

        At most four variants, the baseline first. With "relu" among the variants that is the comparison of sigmoid and
        ReLU: `convscope.ablate(data, without=["relu"])`.
        """
        return norms_figure(self.trials, {variant.name: variant.label for variant in self.plan.variants})

    def far_off(self) -> tuple[str, ...]:
        """Return the variants that end more than FAR points from the baseline; none where too few others are left."""
        accuracies = {found.variant.name: found.accuracy for found in self.order}
        baseline = accuracies.get(BASELINE)
        if baseline is None:
            return ()
        means = {name: 100 * found.mean for name, found in accuracies.items() if found is not None}
        far = tuple(name for name, mean in means.items() if abs(mean - 100 * baseline.mean) > FAR)
        return far if len(means) - len(far) > 1 else ()


def _norms(ablation: Ablation) -> Iterator[Section]:
    figure = ablation.norms_figure()
    if figure is not None:
        caption = (
            "Root mean square of each layer's numbers, one training of each variant, all on one scale; the first point "
            "is before any weight has changed."
        )
        labels = {variant.name: variant.label for variant in ablation.plan.variants}
        lines = [Paragraph(sentence(line)) for line in gradient_lines(ablation.trials, labels)]
        yield Section("Norms by layer", (Figure(figure, caption), *lines), page_only=True)


def _remarks(ablation: Ablation) -> Iterator[Callout]:
    if ablation.ending != "done":
        left = plural(len(ablation.plan.pending(ablation.trials)), "training")
        go_on = call_text("ablate", resume=ablation.run)
        yield Callout("warning", f"not complete: {left} to go", (f"to go on: {go_on}",))
    for found in ablation.findings:
        if found.diverged:
            yield Callout(
                "warning",
                f"{found.variant.label}: {found.diverged} of {len(ablation.plan.seeds)} trainings diverged "
                "(their loss stopped being a number) and are not in its mean",
            )


def _blocks(ablation: Ablation) -> Iterator[Block]:
    far = ablation.far_off()
    yield Section(
        "Accuracy by variant",
        (
            Figure(
                ablation.figure,
                "Small dots are single trainings, the large dot is their mean, the bar its 95 % interval by Student's "
                "t. Trainings of one seed share split, order and initial weights, so the differences in the table are "
                "more precise than the bars suggest.",
            ),
            *([Figure(partial(ablation.figure, without=far))] if far else []),
            ablation.table(),
            *(Paragraph(line) for line in ablation.order_lines()),
        ),
    )
    if ablation.claims:
        labels = ["everything on" if name == BASELINE else VARIANTS[name].label for name in NOTES_ORDER]
        epochs = ablation.recipe.epochs
        other = f" The notes train 10 epochs, this was {epochs}." if epochs != 10 else ""
        rows = [(claim.text, claim.verdict) for claim in ablation.claims]
        yield Section(
            "What the lecture notes expect",
            (Paragraph(f"{' > '.join(labels)}.{other}"), Table.of([Column("expected"), Column("found")], rows)),
        )
    if any(trial.rows and trial.rows[0].val_accuracy is not None for trial in ablation.trials):
        left_out = ", ".join(found.variant.label for found in ablation.findings if found.variant.name in far)
        caption = "Mean over the seeds." + (
            f" Not shown, so that the others can be distinguished: {left_out}." * bool(far)
        )
        yield Section("Validation accuracy by epoch", (Figure(_curves(ablation, without=far), caption),))
    yield from _norms(ablation)
    yield _what_was_done(ablation)


def _curves(ablation: Ablation, *, without: Collection[str]) -> Drawing:
    """Draw validation accuracy by epoch, mean over the seeds; of many variants those that lost most."""
    by_name = {found.variant.name: found for found in ablation.findings}
    others = (found.variant.name for found in ablation.order[::-1])
    names = [BASELINE, *(name for name in others if name != BASELINE and name not in without)]
    curves = []
    for name in names[: len(SERIES) - 2]:
        # One that diverged in its first epoch has none.
        rows = [trial.rows for trial in ablation.trials if trial.variant == name and trial.rows]
        epochs = min((len(some) for some in rows), default=0)
        means = [estimate([v for some in rows if (v := some[i].val_accuracy) is not None]) for i in range(epochs)]
        ys = [None if mean is None else 100 * mean.mean for mean in means]
        if ys:
            curves.append(Curve(by_name[name].variant.label, list(range(1, epochs + 1)), ys))
    return line_chart(
        curves,
        title="Validation accuracy",
        x_label="epoch",
        y_label="accuracy, %",
        width=900,
    )


def _what_was_done(ablation: Ablation) -> Section:
    recipe = ablation.recipe
    labels = {v.name: v.label for v in ablation.plan.variants}
    rows = [(v.label, v.name if v.name != BASELINE else "", v.how) for v in ablation.plan.variants]
    total = sum(trial.seconds for trial in ablation.trials)
    columns = [Column("variant"), Column(setting_name("without")), Column("what is done")]
    single = [
        (
            labels[trial.variant],
            (str(trial.seed), trial.seed),
            (percent(trial.accuracy, decimals=2) if trial.accuracy is not None else "diverged", trial.accuracy),
            (percent(trial.best_val_accuracy, decimals=2) if trial.best_val_accuracy is not None else "",
             trial.best_val_accuracy),
            (seconds(trial.seconds), trial.seconds),
        )
        for trial in ablation.trials
    ]  # fmt: skip
    each = [Column("variant"), *(Column(n, numeric=True) for n in ("seed", "accuracy", "best validation", "time"))]
    text = (
        f"One learning rate for all, {recipe.learning_rate:g} at its highest; batch size {recipe.batch_size}. "
        "A variant might do better at a rate of its own. The weights of the best validation epoch are measured. "
        f"{plural(len(ablation.trials), 'training')} took {seconds(total)} in all, with "
        f"{plural(int(recipe.threads), 'thread')} each."
    )
    return Section(
        "What was done",
        (
            Table.of(columns, rows),
            Paragraph(text),
            Details("Every training", (Table.of(each, single),)),
            Details("Every setting of the baseline (recipe.toml)", (Code(to_toml(recipe)),)),
        ),
        page_only=True,
    )
