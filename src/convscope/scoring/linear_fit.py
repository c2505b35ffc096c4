"""Fit a linear classifier to features: logistic regression with an L2 penalty, by L-BFGS.

The objective is the run's own (`scoring.objective`: its loss, label smoothing and class weights), the mean over the
images, plus `l2 / 2` times the sum of the squared weights; biases have no penalty. With softmax cross-entropy and
neither smoothing nor class weights that is scikit-learn's `LogisticRegression(C=1 / (l2 * images))`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.errors import RunError
from convscope.scoring.objective import Objective

# Losses whose sum with the penalty has one smallest value that gradients lead to.
SMOOTH_LOSSES = ("softmax", "logistic", "multi-label")
# L-BFGS: steps at most, steps that are remembered, and the change of the loss (by the type of the numbers), or the
# largest entry of the gradient, at which it ends.
MOST_STEPS, MEMORY = 200, 10
LEAST_CHANGE, LEAST_GRADIENT = {torch.float32: 1e-7, torch.float64: 1e-11}, 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearFit:
    """A linear classifier: scores are `features @ weight.T + bias`.

    Args:
        weight: (classes, features).
        bias: (classes,); zeros where there is none.
        loss: the objective at the solution, without the penalty.
        steps: of L-BFGS.
    """

    weight: Tensor
    bias: Tensor
    loss: float
    steps: int

    def scores(self, features: Tensor) -> Tensor:
        """Return the scores (N, classes) of features (N, features)."""
        return features @ self.weight.T + self.bias


def require_solvable(loss: str) -> None:
    """Raise RunError for a loss that is not smooth, which L-BFGS does not minimize.

    >>> require_solvable("hinge")
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: head solve has no hinge loss, which is not smooth: take loss softmax, or head train
    """
    if loss not in SMOOTH_LOSSES:
        raise RunError(f"head solve has no {loss} loss, which is not smooth: take loss softmax, or head train")


def solve(
    features: Tensor,
    targets: Tensor,
    objective: Objective,
    *,
    l2: float,
    classes: int,
    biased: bool = True,
    start: LinearFit | None = None,
    most_steps: int = MOST_STEPS,
    stop: Callable[[], bool] = lambda: False,
) -> LinearFit:
    """Return the linear classifier with the smallest objective.

    Args:
        features: (N, features), float32 or float64; the sums are taken in this type.
        targets: int64 (N,), or float (N, classes), as the objective takes them.
        objective: the loss to minimize, with its label smoothing and class weights.
        l2: the weight of the penalty, above 0.
        classes: how many.
        biased: whether there is a bias.
        start: a solution for another penalty, near which this one lies.
        most_steps: of L-BFGS.
        stop: is asked after each evaluation; the fit is that of the moment then.

    Raises:
        RunError: a loss that is not smooth.

    >>> x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]], dtype=torch.float64)
    >>> fit = solve(x, torch.tensor([0, 0, 1, 1]), Objective(), l2=0.1, classes=2)
    >>> fit.scores(x).argmax(1).tolist()
    [0, 0, 1, 1]
    """
    (fit,) = solve_together(
        features,
        targets,
        objective,
        torch.ones(1, len(features), dtype=torch.bool, device=features.device),
        l2=l2,
        classes=classes,
        biased=biased,
        starts=() if start is None else (start,),
        most_steps=most_steps,
        stop=stop,
    )
    return fit


def solve_together(
    features: Tensor,
    targets: Tensor,
    objective: Objective,
    learns: Tensor,
    *,
    l2: float,
    classes: int,
    biased: bool = True,
    starts: Sequence[LinearFit] = (),
    most_steps: int = MOST_STEPS,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[LinearFit, ...]:
    """Return the linear classifier of each of some parts of the samples, as the folds of a cross-validation are.

    The sum of their objectives is minimized: one product of matrices evaluates all of them, and L-BFGS has one step
    size for them, which parts of the same samples can share. `solve` describes the other settings.

    Args:
        features: (N, features).
        targets: int64 (N,), or float (N, classes).
        objective: the loss to minimize.
        learns: bool (parts, N), the samples that each part is fitted to; at least one.
        l2: the weight of the penalty.
        classes: how many.
        biased: whether there is a bias.
        starts: a solution near each part's; none begins at zero.
        most_steps: of L-BFGS.
        stop: is asked after each evaluation.

    Raises:
        RunError: a loss that is not smooth.
    """
    require_solvable(objective.loss)
    parts = len(learns)
    weight = torch.zeros(parts, classes, features.shape[1], dtype=features.dtype, device=features.device)
    bias = torch.zeros(parts, classes, dtype=features.dtype, device=features.device)
    for part, start in enumerate(starts):
        weight[part].copy_(start.weight)
        bias[part].copy_(start.bias)
    weight.requires_grad_()
    bias.requires_grad_(biased)
    optimizer = torch.optim.LBFGS(
        [weight, bias] if biased else [weight],
        max_iter=most_steps,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=LEAST_GRADIENT,
        tolerance_change=LEAST_CHANGE[features.dtype],
    )
    # (N, parts): what each image counts in the mean of each part.
    shares = (learns / learns.sum(1, keepdim=True)).T.to(features.dtype)
    repeated = targets.repeat_interleave(parts, 0)

    def losses() -> Tensor:
        scores = torch.addmm(bias.flatten(), features, weight.flatten(0, 1).T).view(-1, classes)
        return (shares * objective.per_image(scores, repeated).view(-1, parts)).sum(0)

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        penalized = losses().sum() + l2 / 2 * weight.square().sum()
        if not stop():  # without a gradient it has converged
            penalized.backward()  # type: ignore[no-untyped-call]
        return penalized

    optimizer.step(evaluate)  # type: ignore[no-untyped-call]
    steps = int(optimizer.state[weight]["n_iter"])
    with torch.no_grad():
        final = losses().tolist()
    return tuple(
        LinearFit(weight=own, bias=own_bias, loss=loss, steps=steps)
        for own, own_bias, loss in zip(weight.detach(), bias.detach(), final, strict=True)
    )
