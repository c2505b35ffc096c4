"""The norms of layers in the trainings of an ablation, on one scale: where gradients vanish, and where they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from convscope.experiments.ablation.trial import Trial
from convscope.report.svg import Drawing
from convscope.runs.layer_norms import VANISHED, NormSample, compared_norms, gradient_ratio, gradients_text

# Trainings that are drawn: the baseline and the first variants.
MOST = 4


def norms_figure(trials: Sequence[Trial], labels: Mapping[str, str]) -> Drawing | None:
    """Draw the norms of outputs and gradients over the first training of each variant; None without any.

    All variants have one scale, so that a gradient that vanishes in one of them is seen beside one that does not.

    Args:
        trials: of an ablation, in its order.
        labels: of the variants, by name.
    """
    firsts = _first_norms(trials, labels)
    return compared_norms(firsts) if firsts else None


def gradient_lines(trials: Sequence[Trial], labels: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence on each variant that `norms_figure` draws: how its first layer's gradients compare."""
    for name, samples in _first_norms(trials, labels).items():
        ratio = gradient_ratio(samples)
        if ratio is not None:
            little = ": the first layers hardly learn" if ratio >= VANISHED else ""
            yield f"{name}: gradients are {gradients_text(ratio)}{little}"


def _first_norms(trials: Sequence[Trial], labels: Mapping[str, str]) -> dict[str, tuple[NormSample, ...]]:
    """Return the norms of the first training of each variant, by its label."""
    firsts: dict[str, tuple[NormSample, ...]] = {}
    for trial in trials:
        if trial.norms and len(firsts) < MOST:
            firsts.setdefault(labels.get(trial.variant, trial.variant), trial.norms)
    return firsts
