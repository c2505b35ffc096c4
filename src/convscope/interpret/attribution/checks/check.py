"""Attributions of one image checked together, in as few forward passes as that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil

import numpy as np
import torch

from convscope.errors import ArgumentError
from convscope.interpret.attribution.batches import is_faster_in_bf16
from convscope.interpret.attribution.checks.deletion_insertion import deletion_insertion
from convscope.interpret.attribution.checks.randomized_weights import (
    STAGES,
    MapFunction,
    Maps,
    randomized_weights,
)
from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.methods import find_method
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import over_channels
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.subject import Subject
from convscope.report.progress import Progress, no_progress

# Methods of many forward passes: for the comparison with random weights they are computed with fewer, at fewer stages.
COARSE_STEPS = 6  # of integrated gradients
COARSE_WINDOWS = 5  # of occlusion, side by side along the image's shorter side
# With still fewer it is tried whether the same map comes out twice.
REPEATED_STEPS, REPEATED_WINDOWS = 1, 2


def check_attributions(
    subject: Subject,
    attributions: Sequence[Attribution],
    *,
    stages: int = STAGES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> tuple[AttributionChecks, ...]:
    """Return the checks of each attribution: random weights, deletion and insertion, the same map again.

    Args:
        subject: the network and the image that were explained.
        attributions: of that image, each by a method of METHODS.
        stages: at which layers have random weights; methods of many forward passes are compared at two of them.
        seed: of random weights and random orders.
        progress: called with what is done.

    Raises:
        ArgumentError: no attribution, or attributions of several classes.
        CaptureError: a map can't be computed.

    >>> from torch import nn, randn
    >>> from convscope.interpret.attribution.methods import attribute
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4))
    >>> small = Subject(network=network, name="small", image_name="noise", tensor=randn(1, 1, 6, 6))
    >>> (found,) = check_attributions(small, [attribute(small, "gradient", target=2)], stages=2)
    >>> found.deterministic, found.randomization.random_layers, len(found.perturbation.own.deletion)
    (True, (1, 2), 20)
    """
    if not attributions or len({found.target for found in attributions}) > 1:
        raise ArgumentError("give one attribution or more, all of the same class")
    target = attributions[0].target
    again = {str(number): _again(subject, found) for number, found in enumerate(attributions)}
    fresh = replace(subject, given_replays=subject.replays, given_replay=None)
    trained = {name: again[name](fresh, target) for name in again}
    same = {name: _same_again(subject, attributions[int(name)], target, trained[name]) for name in again}
    randomized = randomized_weights(
        subject,
        again,
        target,
        stages=stages,
        decisive=[name for name in again if _is_coarse(attributions[int(name)])],
        seed=seed,
        trained=trained,
        progress=progress,
    )
    whole = subject.geometry.size
    maps = {name: attributions[int(name)].map for name in again if whole == attributions[int(name)].map.shape != ()}
    perturbed = deletion_insertion(
        subject,
        maps,
        target,
        cells={name: attributions[int(name)].cells.shape for name in maps},
        seed=seed,
        in_bf16=is_faster_in_bf16(subject.replay.graph, subject.tensor),
        progress=progress,
    )
    return tuple(
        AttributionChecks(
            method=found.title,
            class_name=found.class_name,
            randomization=randomized.get(name),
            perturbation=perturbed.get(name),
            deterministic=same[name],
            completeness_gap=_completeness_gap(found),
        )
        for name, found in zip(again, attributions, strict=True)
    )


def _again(subject: Subject, found: Attribution) -> MapFunction:
    """Return the function that computes an attribution's maps anew, on any subject."""
    coarser = _COARSER.get(found.method)
    return _computed(found, AttributionOptions() if coarser is None else coarser(subject, found)[0])


def _same_again(subject: Subject, found: Attribution, target: int, again: Maps) -> bool:
    """Return whether the same input gives the same map, bit for bit; a coarse method is tried with still less work."""
    coarser = _COARSER.get(found.method)
    if coarser is None:
        return bool(np.array_equal(found.cells, again.shown, equal_nan=True))
    maps_of = _computed(found, coarser(subject, found)[1])
    one, other = maps_of(subject, target), maps_of(subject, target)
    return bool(np.array_equal(one.shown, other.shown, equal_nan=True))


def _computed(found: Attribution, options: AttributionOptions) -> MapFunction:
    takes = find_method(found.method).takes
    if "layer" in takes:
        options = replace(options, layer=found.layer or None)
    if "baseline" in takes:
        options = replace(options, baseline=found.baseline or None)
    return partial(maps_by, found.method, options)


def maps_by(method: str, options: AttributionOptions, subject: Subject, target: int) -> Maps:
    """Return a method's map as it is shown, and with its signs: summed over channels where it has numbers of each.

    Raises:
        KeyboardInterrupt: the method was interrupted, and has a part of its map.
    """
    found = find_method(method).explain(subject, target, options)
    if found.interrupted:
        raise KeyboardInterrupt
    if found.values is None:
        return Maps(found.cells, found.cells)
    return Maps(found.cells, as_array(over_channels(subject, torch.from_numpy(found.values))))


def _fewer_steps(subject: Subject, found: Attribution) -> tuple[AttributionOptions, AttributionOptions]:
    precision = "bf16" if is_faster_in_bf16(subject.replay.graph, subject.tensor) else None
    few, fewest = (min(steps, int(found.measures["steps"] or 1)) for steps in (COARSE_STEPS, REPEATED_STEPS))
    return AttributionOptions(steps=few, precision=precision), AttributionOptions(steps=fewest, precision=precision)


def _larger_windows(subject: Subject, found: Attribution) -> tuple[AttributionOptions, AttributionOptions]:
    """Return windows that do not overlap, at least as large as those of the map, in its precision."""
    least, precision = int(found.measures["window"] or 1), str(found.measures["precision"])
    sides = (max(least, ceil(min(subject.geometry.size) / count)) for count in (COARSE_WINDOWS, REPEATED_WINDOWS))
    few, fewest = (AttributionOptions(window=side, stride=side, precision=precision) for side in sides)
    return few, fewest


# Settings for the comparison with random weights, and for trying whether the same map comes out twice.
_COARSER: Mapping[str, Callable[[Subject, Attribution], tuple[AttributionOptions, AttributionOptions]]] = {
    "integrated-gradients": _fewer_steps,
    "occlusion": _larger_windows,
}


def _is_coarse(found: Attribution) -> bool:
    return found.method in _COARSER


def _completeness_gap(found: Attribution) -> float | None:
    gap = found.measures.get("completeness gap")
    return float(gap) if isinstance(gap, int | float) else None
