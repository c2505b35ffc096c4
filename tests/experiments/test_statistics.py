"""Intervals are Student's, and an order is only called found where they decide it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from convscope.experiments.ablation.findings import compare_with_notes, find
from convscope.experiments.ablation.plan import AblationPlan, VariantCost
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.statistics import Estimate, estimate, paired_difference, student_t
from convscope.experiments.ablation.trial import Trial
from convscope.experiments.ablation.variants import find_variant
from convscope.recipe.recipe import Recipe
from convscope.runs.run_directory import Run


@pytest.mark.parametrize("values", [[0.7, 0.72], [0.5, 0.9, 0.7, 0.71, 0.69]])
def test_an_interval_is_scipys(values: list[float]) -> None:
    found = estimate(values)
    assert found is not None and found.low is not None and found.high is not None
    wanted = stats.t.interval(0.95, len(values) - 1, loc=found.mean, scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(wanted)


@pytest.mark.parametrize("degrees", [*range(1, 12), 29, 100, 1001])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_students_t_is_scipys(degrees: int, confidence: float) -> None:
    assert student_t(degrees, confidence) == pytest.approx(stats.t.ppf((1 + confidence) / 2, degrees), rel=1e-10)


def test_an_interval_by_hand() -> None:
    # s = 1, t(2) at 97.5 % = 4.3027 (any table), so the half is 4.3027 / √3.
    found = estimate([1.0, 2.0, 3.0])
    assert found is not None and found.high is not None
    assert found.high - 2 == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)


def test_few_values_decide_nothing() -> None:
    assert estimate([]) is None
    assert estimate([0.5]) == Estimate(0.5, None, None, 1)
    same = estimate([0.1, 0.1, 0.1])
    assert same is not None and same.sign == 0  # quantized accuracies that agree have not shown their spread


def test_a_difference_goes_by_seed() -> None:
    found, wanted = paired_difference({1: 0.52, 0: 0.61, 7: 0.9}, {0: 0.6, 1: 0.5, 2: 0.1}), estimate([0.02, 0.01])
    assert found is not None and wanted is not None and found.count == 2
    # The mean is the same whichever values are paired, the interval is not.
    assert (found.mean, found.low, found.high) == pytest.approx((0.015, wanted.low, wanted.high))
    assert paired_difference({3: 0.5}, {0: 0.6}) is None


def _trial(variant: str, seed: int, accuracy: float | None, train: float = 0.9) -> Trial:
    return Trial(
        variant=variant,
        seed=seed,
        ending="done" if accuracy is not None else "diverged",
        accuracy=accuracy,
        train_accuracy=None if accuracy is None else train,
        best_val_accuracy=accuracy,
        best_epoch=1,
        seconds=10.0 + seed,
        rows=(),
    )


ACCURACIES = {
    "baseline": (0.75, 0.76, 0.74),
    "augmentation": (0.72, 0.73, 0.71),
    "dropout": (0.73, 0.72, 0.715),
    "relu": (0.45, None, 0.46),
}


PLAN = AblationPlan(
    variants=tuple(map(find_variant, ACCURACIES)),
    seeds=(0, 1, 2),
    costs={name: VariantCost(parameters=1, macs=1) for name in ACCURACIES},
)


def _told(**accuracies: tuple[float | None, ...]) -> tuple[list[str], list[str]]:
    """What an ablation with these accuracies by seed says: the labels of its rows, and the lines below its table."""
    trials = [_trial(name, seed, a) for name, values in accuracies.items() for seed, a in enumerate(values)]
    plan = replace(PLAN, variants=tuple(map(find_variant, accuracies)))
    ablation = Ablation(
        run=Run(Path("run")),
        recipe=Recipe(),
        ending="stopped",
        exit_code=130,
        plan=plan,
        trials=tuple(trials),
        measured_on="test",
        findings=find(plan, trials),
        claims=(),
    )
    return [row.cells[0] for row in ablation.table().rows], ablation.order_lines()


def test_what_is_shown_as_equal_is_told_as_equal() -> None:
    _, lines = _told(baseline=(0.5, 0.6, 0.7), augmentation=(0.7, 0.6, 0.500001), dropout=(0.1, 0.2, 0.3))
    assert lines[0] == "order found: no augmentation = everything on > no dropout"
    assert lines[1] == "3 seeds do not decide: no augmentation, no dropout"


def test_an_order_is_over_the_seeds_that_all_have() -> None:
    # Over its own two seeds the baseline is better, over the shared one worse.
    labels, lines = _told(baseline=(0.5, 0.9), dropout=(0.6,))
    assert labels == ["everything on (2 of 3 seeds)", "no dropout (1 of 3 seeds)"]
    assert lines == [
        "order found over the 1 seed that all have: no dropout > everything on",
        "1 seed does not decide: no dropout",
    ]
    labels, lines = _told(baseline=(0.5, 0.9, None), dropout=(None, None, 0.6))
    assert labels == ["everything on (1 diverged)", "no dropout (2 diverged)"]
    assert lines == ["no order: no seed has a result of each variant"]


def test_the_notes_are_compared_as_found() -> None:
    plan = PLAN
    trials = [
        _trial(n, seed, a, 0.99 if n == "dropout" else 0.9) for n, v in ACCURACIES.items() for seed, a in enumerate(v)
    ]
    findings = {found.variant.name: found for found in find(plan, trials)}
    assert findings["relu"].diverged == 1 and set(findings["relu"].accuracies) == {0, 2}
    assert findings["baseline"].difference is None and findings["baseline"].seconds == pytest.approx(11)
    assert findings["augmentation"].difference is not None
    assert findings["augmentation"].difference.mean == pytest.approx(-0.03)
    verdicts = [claim.verdict for claim in compare_with_notes(list(findings.values()))]
    assert verdicts[1].startswith("not decided by these seeds")
    assert verdicts[2].startswith("holds: +26.7 points")
    assert verdicts[3] == "holds: 45.5 %"
    assert verdicts[4] == "training higher (99.0 and 90.0 %), new images lower"
