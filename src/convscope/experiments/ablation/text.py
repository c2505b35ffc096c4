"""An ablation in the terminal: the table, the order, and what the notes expected."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from convscope.experiments.ablation.findings import NOTES_ORDER, Estimate, Finding, mean_over, shared_seeds
from convscope.experiments.ablation.variants import BASELINE, VARIANTS
from convscope.report.table import Column, Table, table_text
from convscope.report.units import count, percent, plural, seconds

if TYPE_CHECKING:
    from convscope.experiments.ablation.record import Ablation

SPLIT_NAMES = {"test": "test", "val": "validation"}


def ablation_table(ablation: Ablation) -> Table:
    """A row a variant, the baseline first: accuracy, difference, cost."""
    columns = [
        Column("variant"),
        Column(
            "accuracy", numeric=True, note=f"on the {SPLIT_NAMES[ablation.measured_on]} images, mean over the seeds"
        ),
        Column("95 % interval", numeric=True, note="of the mean, by Student's t over the seeds"),
        Column("difference", numeric=True, note="from the baseline of the same seed, in percentage points"),
        Column("its interval", numeric=True, note="95 %, by Student's t over the pairs"),
        Column("on training images", numeric=True, note="without augmentation"),
        Column("time", numeric=True, note="of one training, mean"),
        Column("parameters", numeric=True),
        Column("MACs", numeric=True, note="multiply-adds for one image"),
    ]
    planned = len(ablation.plan.seeds)
    return Table.of(columns, [_row(found, planned) for found in ablation.findings])


def _row(found: Finding, planned: int) -> tuple[str, ...]:
    remarks = [f"{found.diverged} diverged"] if found.diverged else []
    if found.diverged + len(found.accuracies) < planned:
        remarks.insert(0, f"{len(found.accuracies)} of {plural(planned, 'seed')}")
    return (
        found.variant.label + (f" ({', '.join(remarks)})" if remarks else ""),
        percent(found.accuracy.mean, decimals=2) if found.accuracy else "none",
        interval(found.accuracy, signed=False),
        "" if found.difference is None else f"{100 * found.difference.mean:+.2f}",
        interval(found.difference, signed=True),
        percent(found.train_accuracy.mean) if found.train_accuracy else "",
        seconds(found.seconds) if found.seconds is not None else "",
        count(found.parameters),
        count(found.macs),
    )


def interval(found: Estimate | None, *, signed: bool) -> str:
    """The interval's ends in percentage points."""
    if found is None or found.low is None or found.high is None:
        return ""
    sign = "+" if signed else ""
    return f"{100 * found.low:{sign}.2f} to {100 * found.high:{sign}.2f}"


def order_lines(ablation: Ablation) -> list[str]:
    """The order found, and which differences from the baseline the seeds decide."""
    if ablation.trouble:
        return [ablation.trouble]
    measured = [found for found in ablation.order if found.accuracy is not None]
    lines = [_order_line(ablation, measured)]
    decided = [f for f in measured if f.difference is not None and f.difference.sign]
    open_ones = [f for f in measured if f.difference is not None and not f.difference.sign]
    if decided:
        what = ", ".join(f"{f.variant.label} ({100 * f.difference.mean:+.1f})" for f in decided if f.difference)
        lines.append(f"differs from everything on by more than chance: {what}")
    # A difference is over the seeds that both have: fewer than planned where one diverged, or all of it was stopped.
    for pairs in sorted({f.difference.count for f in open_ones if f.difference}, reverse=True):
        names = ", ".join(f.variant.label for f in open_ones if f.difference and f.difference.count == pairs)
        why = f"{plural(pairs, 'seed')} {'do' if pairs > 1 else 'does'} not decide"
        lines.append(f"{why}: {names}" + ("; take --seeds 3 or more" if len(ablation.plan.seeds) == 1 else ""))
    return lines


def _order_line(ablation: Ablation, measured: list[Finding]) -> str:
    """The order over the seeds that all have, ties as ties; what is shown as equal is one."""
    shared = shared_seeds(measured)
    if not shared:
        return "no order: no seed has a result of each variant"
    over = "" if len(shared) == len(ablation.plan.seeds) else f" over the {plural(len(shared), 'seed')} that all have"
    shown = [percent(mean_over(found, shared), decimals=2) for found in measured]
    line = f"order found{over}: {measured[0].variant.label}"
    for found, (before, own) in zip(measured[1:], pairwise(shown), strict=True):
        line += f" {'=' if own == before else '>'} {found.variant.label}"
    return line


def notes_lines(ablation: Ablation) -> list[str]:
    """What the lecture notes expect, each with what was found; none where this is another case."""
    if not ablation.claims:
        return []
    labels = ["everything on" if name == BASELINE else VARIANTS[name].label for name in NOTES_ORDER]
    epochs = f"the notes train 10 epochs, this was {ablation.recipe.epochs}"
    head = f"the lecture notes expect {' > '.join(labels)}" + (f" ({epochs})" if ablation.recipe.epochs != 10 else "")
    return [head, *(f"  {claim.text}: {claim.verdict}" for claim in ablation.claims)]


def ablation_text(ablation: Ablation) -> str:
    """The whole of it as plain lines."""
    lines = [table_text(ablation_table(ablation)), "", *order_lines(ablation)]
    if notes := notes_lines(ablation):
        lines += ["", *notes]
    return "\n".join(lines)
