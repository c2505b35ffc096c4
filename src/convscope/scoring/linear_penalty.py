"""Fit a head with the L2 penalty that is best on images held back: a path of penalties, the strongest first.

Features are scaled to deviation 1 (and to mean 0, where the head has a bias) on the training images, so that one grid
of penalties serves every network; the fit is given back for the features as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from convscope.data.records import Labels
from convscope.scoring.linear_fit import MOST_STEPS, LinearFit, solve, solve_together
from convscope.scoring.objective import Objective

# Penalties that are tried, until one is worse than the one before.
GRID = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)
# Steps of L-BFGS for each penalty tried, from the solution of the one before; the best is then solved to the end.
TRIAL_STEPS = 25
FOLDS = 5
# With fewer validation images than this the folds of the training images choose the penalty: a loss on few is noisy.
FEW_IMAGES = 200
LEAST_DEVIATION = 1e-6
# Folds are solved together up to this many scores, which bounds the memory: 64 MiB in float32, and their gradients.
STACKED_SCORES = 2**24
# Evaluations of the loss in a fit with the grid, about. A few are timed: the steps of L-BFGS that are taken for it, and
# the most numbers of noise that these are fitted to.
EVALUATIONS, TIMED_NUMBERS, TIMED_STEPS = 200, 2**22, 3
# The stream of the folds beside the run's other draws.
FOLD_STREAM = 2**23 - 3


@dataclass(frozen=True, kw_only=True)
class PenaltyTrial:
    """What a penalty came to: the mean loss of images held back (no label smoothing, no class weights)."""

    l2: float
    loss: float


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadFit:
    """A fitted head.

    Args:
        fit: for features as the network makes them.
        l2: its penalty.
        trials: the penalties tried, the strongest first; empty where it was given.
        chosen_on: what they were compared on.
    """

    fit: LinearFit
    l2: float
    trials: tuple[PenaltyTrial, ...] = ()
    chosen_on: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Features (N, features), their targets, and which belong together: no fold parts the samples of one unit.

    Args:
        features: one row a sample; views of one image are samples of one unit.
        targets: int64 (N,), or float (N, classes) of several labels.
        units: the unit of each sample, int64 (N,).
    """

    features: Tensor
    targets: Tensor
    units: Labels

    def part(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Samples:
        """Return some of the samples."""
        places = torch.from_numpy(rows).to(self.features.device)
        return Samples(features=self.features[places], targets=self.targets[places], units=self.units[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scaling:
    """Scales features to deviation 1, measured on the training samples."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, features: Tensor, *, centred: bool) -> _Scaling:
        mean = features.mean(0) if centred else torch.zeros_like(features[0])
        deviation = (features - mean).square().mean(0).sqrt()
        constant = deviation < LEAST_DEVIATION * deviation.max().clamp_min(LEAST_DEVIATION)
        return cls(mean=mean, deviation=deviation.masked_fill(constant, 1.0))

    def scaled(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation

    def unscaled(self, fit: LinearFit) -> LinearFit:
        """Return a fit of scaled features as one of the features themselves, in float64."""
        weight = fit.weight.double() / self.deviation.double()
        return replace(fit, weight=weight, bias=fit.bias.double() - weight @ self.mean.double())


def fit_head(
    train: Samples,
    val: Samples | None,
    objective: Objective,
    *,
    classes: int,
    biased: bool,
    l2: float = 0.0,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> HeadFit:
    """Return the head that is fitted to the training samples, with the given penalty, or the best of a grid.

    The best is that of the lowest loss on the validation samples; where there are few, on the training samples that
    each of five folds leaves out.
    """
    scaling = _Scaling.of(train.features, centred=biased)
    samples = replace(train, features=scaling.scaled(train.features))

    def fitted(learns: Tensor, penalty: float, starts: Sequence[LinearFit], steps: int) -> tuple[LinearFit, ...]:
        return solve_together(
            samples.features,
            samples.targets,
            objective,
            learns,
            l2=penalty,
            classes=classes,
            biased=biased,
            starts=starts,
            most_steps=steps,
            stop=stop,
        )

    every = torch.ones(1, len(samples.units), dtype=torch.bool, device=samples.features.device)

    def solved(penalty: float, starts: Sequence[LinearFit] = ()) -> LinearFit:
        (fit,) = fitted(every, penalty, starts, MOST_STEPS)
        return scaling.unscaled(fit)

    if not l2 and len(np.unique(train.units)) == 1:
        l2 = GRID[0]  # one unit: nothing can be held back from it
    if l2:
        return HeadFit(fit=solved(l2), l2=l2)
    if val is not None and len(val.units) >= FEW_IMAGES:
        held = [replace(val, features=scaling.scaled(val.features))]
        groups, chosen_on = [every], "the validation images"
    else:
        groups, held = _cross_validation(samples, classes=classes, seed=seed)
        chosen_on = f"{len(held)} folds of the training images"
    trials, near = _path(groups, held, objective, partial(fitted, steps=TRIAL_STEPS))
    penalty = _best(trials).l2
    return HeadFit(fit=solved(penalty, near[:1]), l2=penalty, trials=trials, chosen_on=chosen_on)


def seconds_to_fit(
    objective: Objective, *, samples: int, features: int, classes: int, validated: int, l2: float = 0.0
) -> float:
    """Return about the seconds that `fit_head` takes here, by a few evaluations of the loss on noise.

    Torch's generators stay as found.
    """
    rows = max(2, min(samples, TIMED_NUMBERS // max(features, classes)))
    noise = torch.randn(rows, features, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(rows) % classes
    targets = torch.eye(classes)[labels] if objective.multi_label else labels
    ended: list[float] = []

    def at_end() -> bool:
        ended.append(time.perf_counter())
        return False

    solve(noise, targets, objective, l2=GRID[0], classes=classes, most_steps=TIMED_STEPS, stop=at_end)
    # The first one sets the work up.
    each = (ended[-1] - ended[1]) / (len(ended) - 2) if len(ended) > 2 else 0.0
    # About half of the evaluations are those of the grid, each on all folds.
    parts = 1.0 if l2 or validated >= FEW_IMAGES else (FOLDS + 1) / 2
    return EVALUATIONS * parts * each * max(1.0, samples / rows)


def _cross_validation(samples: Samples, *, classes: int, seed: int) -> tuple[list[Tensor], list[Samples]]:
    """Return what the folds learn from, bool (folds, N) in groups to solve together, and what each leaves out."""
    out = _folds(samples.units, seed=seed)
    learns = torch.from_numpy(~out).to(samples.features.device)
    together = max(1, STACKED_SCORES // (len(samples.units) * classes))
    return list(torch.split(learns, together)), [samples.part(np.flatnonzero(of_fold)) for of_fold in out]


def _path(
    groups: Sequence[Tensor],
    held: Sequence[Samples],
    objective: Objective,
    fitted: Callable[[Tensor, float, Sequence[LinearFit]], tuple[LinearFit, ...]],
) -> tuple[tuple[PenaltyTrial, ...], list[LinearFit]]:
    """Return the mean loss of each penalty on what each part holds back, and the parts' fits with the best one.

    Args:
        groups: bool (parts, N) each, the samples that the parts which are solved together learn from.
        held: what each part of all groups is measured on.
        objective: the loss.
        fitted: fits the parts of a group.
    """
    starts: list[tuple[LinearFit, ...]] = [() for _ in groups]
    best: list[LinearFit] = []
    trials: list[PenaltyTrial] = []
    for l2 in GRID:
        # Each begins at the solution of the penalty before it, which is near.
        starts = [fitted(group, l2, start) for group, start in zip(groups, starts, strict=True)]
        now = [fit for of_group in starts for fit in of_group]
        losses = [
            float(objective.plain(fit.scores(out.features), out.targets)) for fit, out in zip(now, held, strict=True)
        ]
        trials.append(PenaltyTrial(l2=l2, loss=float(np.average(losses, weights=[len(out.units) for out in held]))))
        if _best(trials) is not trials[-1]:
            break
        best = now
    return tuple(trials), best


def _best(trials: Sequence[PenaltyTrial]) -> PenaltyTrial:
    return min(trials, key=lambda trial: trial.loss)


def _folds(units: Labels, *, seed: int) -> npt.NDArray[np.bool_]:
    """Return which samples each fold leaves out (folds, N); those of one unit are in the same fold."""
    found, place = np.unique(units, return_inverse=True)
    count = min(FOLDS, len(found))
    fold_of = np.random.default_rng([seed, FOLD_STREAM]).permutation(len(found)) % count
    left_out: npt.NDArray[np.bool_] = fold_of[place] == np.arange(count)[:, None]
    return left_out
