"""What an ablation found: for each variant its mean, what it lost against the baseline, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from convscope.data.listing import Listing
from convscope.experiments.ablation.plan import AblationPlan
from convscope.experiments.ablation.statistics import Estimate, estimate, paired_difference
from convscope.experiments.ablation.trial import DIVERGED, Trial
from convscope.experiments.ablation.variants import BASELINE, Variant
from convscope.report.short_repr import ShortRepr
from convscope.report.table import Cell, Column, Table
from convscope.report.units import count, percent, plural, seconds
from convscope.report.usage import setting_name

# The order that the lecture notes expect of MiniAlexNet on CIFAR-10 after 10 epochs, the best first.
NOTES_ORDER = (BASELINE, "augmentation", "dropout", "relu")
NOTES_MODEL = "alexnet-mini"
NOTES_CLASSES = frozenset(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
NOTES_SIGMOID_CEILING = 0.5


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Finding(ShortRepr):
    """One variant over its seeds: estimates of accuracy and of its difference from the baseline, as shares of 1."""

    variant: Variant
    accuracies: dict[int, float]
    accuracy: Estimate | None
    difference: Estimate | None
    train_accuracy: Estimate | None
    diverged: int
    seconds: float | None
    parameters: int
    macs: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON can hold it."""
        return {
            "variant": self.variant.name,
            "label": self.variant.label,
            "how": self.variant.how,
            "accuracy": _values(self.accuracy),
            "difference": _values(self.difference),
            "train_accuracy": _values(self.train_accuracy),
            "by_seed": {str(seed): value for seed, value in self.accuracies.items()},
            "diverged": self.diverged,
            "seconds": self.seconds,
            "parameters": self.parameters,
            "macs": self.macs,
        }


@dataclass(frozen=True, repr=False)
class Expectation(ShortRepr):
    """Something that the lecture notes expect, and what was found of it."""

    text: str
    verdict: str


def find(plan: AblationPlan, trials: Sequence[Trial]) -> tuple[Finding, ...]:
    """Return a finding for each variant of the plan, in its order."""
    by_variant = {v.name: [trial for trial in trials if trial.variant == v.name] for v in plan.variants}
    baseline = _accuracies(by_variant[BASELINE])
    found = []
    for variant in plan.variants:
        own = by_variant[variant.name]
        accuracies = _accuracies(own)
        seconds = estimate([trial.seconds for trial in own])
        found.append(
            Finding(
                variant=variant,
                accuracies=accuracies,
                accuracy=estimate(list(accuracies.values())),
                difference=None if variant.name == BASELINE else paired_difference(accuracies, baseline),
                train_accuracy=estimate([t.train_accuracy for t in own if t.train_accuracy is not None]),
                diverged=sum(trial.ending == DIVERGED for trial in own),
                seconds=seconds.mean if seconds else None,
                parameters=plan.costs[variant.name].parameters,
                macs=plan.costs[variant.name].macs,
            )
        )
    return tuple(found)


def shared_seeds(findings: Sequence[Finding]) -> tuple[int, ...]:
    """Return the seeds for which every finding that has accuracies has one: only over these do means compare."""
    measured = [found.accuracies.keys() for found in findings if found.accuracies]
    return tuple(sorted(set.intersection(*map(set, measured)))) if measured else ()


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings by mean accuracy over the shared seeds (their own if none is shared), the best first.

    Those that never came to an accuracy are last.
    """
    shared = shared_seeds(findings)

    def place(found: Finding) -> float:
        mean = mean_over(found, shared or tuple(found.accuracies))
        return 1.0 if mean is None else -mean

    return sorted(findings, key=place)


def mean_over(found: Finding, seeds: Sequence[int]) -> float | None:
    """Return a finding's mean accuracy over some of its seeds; None without any."""
    over = estimate([found.accuracies[seed] for seed in seeds]) if found.accuracies else None
    return over.mean if over else None


def is_the_notes_case(model: str, listing: Listing, findings: Sequence[Finding]) -> bool:
    """Return whether the ablation is that of the lecture notes: MiniAlexNet on CIFAR-10, with their variants."""
    names = {found.variant.name for found in findings if found.accuracy is not None}
    return model == NOTES_MODEL and frozenset(listing.classes) == NOTES_CLASSES and names >= set(NOTES_ORDER)


def compare_with_notes(findings: Sequence[Finding]) -> list[Expectation]:
    """Return the notes' expectations, each with what was found; a pair counts where the seeds' interval decides it."""
    by_name = {found.variant.name: found for found in findings}
    claims = []
    for better, worse in pairwise(NOTES_ORDER):
        first, second = by_name[better], by_name[worse]
        claims.append(
            Expectation(
                f"{first.variant.label} > {second.variant.label}",
                _verdict(paired_difference(first.accuracies, second.accuracies)),
            )
        )
    sigmoid = by_name["relu"].accuracy
    if sigmoid is not None:
        below = "holds" if sigmoid.mean <= NOTES_SIGMOID_CEILING else "does not hold"
        claims.append(Expectation("sigmoid may not get beyond about 50 %", f"{below}: {100 * sigmoid.mean:.1f} %"))
    whole, bare = by_name[BASELINE], by_name["dropout"]
    if whole.train_accuracy and bare.train_accuracy and whole.accuracy and bare.accuracy:
        higher = bare.train_accuracy.mean > whole.train_accuracy.mean
        lower = bare.accuracy.mean < whole.accuracy.mean
        claims.append(
            Expectation(
                "no dropout: higher training accuracy, lower accuracy on new images",
                f"training {_compared(higher, 'higher', 'not higher')} "
                f"({100 * bare.train_accuracy.mean:.1f} and {100 * whole.train_accuracy.mean:.1f} %), "
                f"new images {_compared(lower, 'lower', 'not lower')}",
            )
        )
    return claims


def _compared(holds: bool, yes: str, no: str) -> str:
    return yes if holds else no


def _verdict(difference: Estimate | None) -> str:
    if difference is None:
        return "not measured"
    points = f"{100 * difference.mean:+.1f} points"
    if difference.low is None or difference.high is None:
        return f"{'so found' if difference.mean > 0 else 'found the other way round'} with one seed, {points}"
    interval = f"{points}, 95 % interval {100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    return f"{ {1: 'holds', -1: 'does not hold', 0: 'not decided by these seeds'}[difference.sign] }: {interval}"


def _accuracies(trials: Sequence[Trial]) -> dict[int, float]:
    return {trial.seed: trial.accuracy for trial in trials if trial.accuracy is not None}


def _values(found: Estimate | None) -> dict[str, float | int | None] | None:
    if found is None:
        return None
    return {"mean": found.mean, "low": found.low, "high": found.high, "seeds": found.count}


def findings_table(findings: Sequence[Finding], *, split: str, planned: int) -> Table:
    """Return a row a variant, the baseline first: accuracy on `split` over the `planned` seeds, difference, cost."""
    columns = [
        Column("variant"),
        Column("accuracy", numeric=True, note=f"on the {split} images, mean over the seeds"),
        Column("95 % interval", numeric=True, note="of the mean, by Student's t over the seeds"),
        Column("difference", numeric=True, note="from the baseline of the same seed, in percentage points"),
        Column("its interval", numeric=True, note="95 %, by Student's t over the pairs"),
        Column("on training images", numeric=True, note="without augmentation"),
        Column("time", numeric=True, note="of one training, mean"),
        Column("parameters", numeric=True),
        Column("MACs", numeric=True, note="multiply-adds for one image"),
    ]
    return Table.of(columns, [_row(found, planned) for found in findings])


def _row(found: Finding, planned: int) -> list[Cell]:
    remarks = [f"{found.diverged} diverged"] if found.diverged else []
    if found.diverged + len(found.accuracies) < planned:
        remarks.insert(0, f"{len(found.accuracies)} of {plural(planned, 'seed')}")
    accuracy, difference, training = found.accuracy, found.difference, found.train_accuracy
    return [
        found.variant.label + (f" ({', '.join(remarks)})" if remarks else ""),
        (percent(accuracy.mean, decimals=2), accuracy.mean) if accuracy else ("none", None),
        _interval(accuracy, signed=False),
        (f"{100 * difference.mean:+.2f}", difference.mean) if difference else ("", None),
        _interval(difference, signed=True),
        (percent(training.mean), training.mean) if training else ("", None),
        (seconds(found.seconds), found.seconds) if found.seconds is not None else ("", None),
        (count(found.parameters), found.parameters),
        (count(found.macs), found.macs),
    ]


def _interval(found: Estimate | None, *, signed: bool) -> Cell:
    """Return the interval's ends in percentage points."""
    if found is None or found.low is None or found.high is None:
        return "", None
    sign = "+" if signed else ""
    return f"{100 * found.low:{sign}.2f} to {100 * found.high:{sign}.2f}", [found.low, found.high]


def order_lines(findings: Sequence[Finding], *, planned: int) -> list[str]:
    """Return the order found, and which differences from the baseline the seeds decide; `planned` is their number."""
    measured = [found for found in ordered(findings) if found.accuracy is not None]
    lines = [_order_line(measured, planned)]
    decided = [f for f in measured if f.difference is not None and f.difference.sign]
    open_ones = [f for f in measured if f.difference is not None and not f.difference.sign]
    if decided:
        what = ", ".join(f"{f.variant.label} ({100 * f.difference.mean:+.1f})" for f in decided if f.difference)
        lines.append(f"differs from everything on by more than chance: {what}")
    # A difference is over the seeds that both have: fewer than planned where one diverged, or all of it was stopped.
    for pairs in sorted({f.difference.count for f in open_ones if f.difference}, reverse=True):
        names = ", ".join(f.variant.label for f in open_ones if f.difference and f.difference.count == pairs)
        why = f"{plural(pairs, 'seed')} {'do' if pairs > 1 else 'does'} not decide"
        lines.append(f"{why}: {names}" + (f"; take {setting_name('seeds')} 3 or more" if planned == 1 else ""))
    return lines


def _order_line(measured: list[Finding], planned: int) -> str:
    """Return the order over the seeds that all have, ties as ties; what is shown as equal is one."""
    shared = shared_seeds(measured)
    if not shared:
        return "no order: no seed has a result of each variant"
    over = "" if len(shared) == planned else f" over the {plural(len(shared), 'seed')} that all have"
    shown = [percent(mean_over(found, shared), decimals=2) for found in measured]
    line = f"order found{over}: {measured[0].variant.label}"
    for found, (before, own) in zip(measured[1:], pairwise(shown), strict=True):
        line += f" {'=' if own == before else '>'} {found.variant.label}"
    return line
