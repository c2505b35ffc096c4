"""What an ablation found: for each variant its mean, what it lost against the baseline, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from convscope.data.listing import Listing
from convscope.experiments.ablation.plan import AblationPlan
from convscope.experiments.ablation.trial import DIVERGED, Trial
from convscope.experiments.ablation.variants import BASELINE, Variant

# The order that the lecture notes expect of MiniAlexNet on CIFAR-10 after 10 epochs, the best first.
NOTES_ORDER = (BASELINE, "augmentation", "dropout", "relu")
NOTES_MODEL = "alexnet-mini"
NOTES_CLASSES = frozenset(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
NOTES_SIGMOID_CEILING = 0.5

CONFIDENCE = 0.95
LEAST_SPREAD = 1e-9  # a confidence interval narrower than this is rounding


@dataclass(frozen=True, kw_only=True)
class Finding:
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
        """The finding as JSON can hold it."""
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


@dataclass(frozen=True)
class Expectation:
    """Something that the lecture notes expect, and what was found of it."""

    text: str
    verdict: str


def find(plan: AblationPlan, trials: Sequence[Trial]) -> tuple[Finding, ...]:
    """A finding for each variant of the plan, in its order."""
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
    """The seeds for which every finding that has accuracies has one: only over these do means compare."""
    measured = [found.accuracies.keys() for found in findings if found.accuracies]
    return tuple(sorted(set.intersection(*map(set, measured)))) if measured else ()


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """The findings by their mean accuracy over the shared seeds (their own where none is shared), the best first.

    Those that never came to an accuracy are last.
    """
    shared = shared_seeds(findings)

    def place(found: Finding) -> float:
        mean = mean_over(found, shared or tuple(found.accuracies))
        return 1.0 if mean is None else -mean

    return sorted(findings, key=place)


def mean_over(found: Finding, seeds: Sequence[int]) -> float | None:
    """A finding's mean accuracy over some of its seeds; None without any."""
    over = estimate([found.accuracies[seed] for seed in seeds]) if found.accuracies else None
    return over.mean if over else None


def is_the_notes_case(model: str, listing: Listing, findings: Sequence[Finding]) -> bool:
    """Whether this is what the lecture notes make a claim about: MiniAlexNet on CIFAR-10, with their variants."""
    names = {found.variant.name for found in findings if found.accuracy is not None}
    return model == NOTES_MODEL and frozenset(listing.classes) == NOTES_CLASSES and names >= set(NOTES_ORDER)


def compare_with_notes(findings: Sequence[Finding]) -> list[Expectation]:
    """The notes' expectations, each with what was found; a pair counts where the seeds' interval decides it."""
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of `count` values and the ends of its confidence interval, which are None with one value."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below 0, else 0: these values don't decide it.

        Values that agree to the last digit (few images, few seeds) say nothing of their spread, and decide nothing.
        """
        if self.low is None or self.high is None or self.low <= 0 <= self.high or self.high - self.low < LEAST_SPREAD:
            return 0
        return 1 if self.low > 0 else -1


def estimate(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean and its interval, mean ± t(n - 1) · s / √n (Student 1908); None without values.

    >>> estimate([1.0, 2.0, 3.0])
    Estimate(mean=2.0, low=-0.4841377117..., high=4.4841377117..., count=3)
    """
    from scipy.special import stdtrit

    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    """How much `values` lie above the baseline's of the same seed; None where no seed is in both.

    Seeds share their split, order and initial weights, so what a seed does to both falls out of the difference.
    """
    return estimate([value - baseline[seed] for seed, value in values.items() if seed in baseline])
