"""The norms of layers in the trainings of an ablation, on one scale: where gradients vanish, and where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convscope.experiments.ablation.trial import Trial
from convscope.report.svg import Drawing, below, beside
from convscope.runs.layer_norms import NormSample, norm_chart, norm_limits

# Trainings that are drawn: the baseline and the first variants.
MOST = 4


def norms_figure(trials: Sequence[Trial], labels: Mapping[str, str]) -> Drawing | None:
    """Draw the norms of outputs and gradients over the first training of each variant; None without any.

    All variants have one scale, so that a gradient that vanishes in one of them is seen beside one that does not.

    Args:
        trials: of an ablation, in its order.
        labels: of the variants, by name.
    """
    firsts: dict[str, tuple[NormSample, ...]] = {}
    for trial in trials:
        if trial.norms and len(firsts) < MOST:
            firsts.setdefault(trial.variant, trial.norms)
    if not firsts:
        return None
    every = [sample for samples in firsts.values() for sample in samples]
    outputs, gradients = norm_limits(every, "outputs"), norm_limits(every, "gradients")
    rows = []
    for name, samples in firsts.items():
        label = labels.get(name, name)
        rows.append(beside(
            norm_chart(samples, "gradients", title=f"{label}: weights' gradients", y_limits=gradients),
            norm_chart(samples, "outputs", title=f"{label}: layers' outputs", y_limits=outputs),
            title=label,
        ))  # fmt: skip
    return below(*rows, title="Norms by layer")
