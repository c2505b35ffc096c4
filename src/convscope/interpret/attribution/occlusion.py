"""Occlusion: how far a class's score falls when a window of the image is replaced.

Each position has the mean fall over the windows that cover it. Nothing here needs a gradient, so it runs in bf16 where
the processor computes it natively and the network's own numbers stay within a tolerance: the windows that cover the
image first are computed so, and some of them, the one of the largest fall among them, in float32 too.

Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from convscope.errors import ArgumentError
from convscope.interpret.attribution.baselines import DEFAULT, baseline_of
from convscope.interpret.attribution.batches import forward_batch, is_faster_in_bf16
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.placement import at_input
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.attribution.windows import Box, Windows
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject

TOLERANCE = 0.05
"""How far a map in bf16 may be from float32's, as a share of its largest value."""

TRIED = 7
"""Windows that are computed in both precisions."""

PRECISIONS = ("auto", "fp32", "bf16")

Falls = Callable[[Sequence[Box]], torch.Tensor]


def occlusion(subject: Subject, target: int, options: AttributionOptions) -> Attribution:
    """Return how far a class's score falls when a window around each position is replaced; negative where it rises.

    An interrupt after the first windows, which cover the image once, ends it with the map that there is.

    Raises:
        ArgumentError: no such baseline or precision, or a window or stride out of range.
    """
    axes = subject.geometry.image_axes
    if not axes:
        raise ArgumentError(f"{subject.name} takes no image: there are no positions to replace; take gradient")
    windows = Windows.over(subject.geometry.size, side=options.window, stride=options.stride)
    name = options.baseline or DEFAULT
    baseline, notes = baseline_of(subject, name)
    falls, precision = _falls(subject, target, baseline, windows, options)
    boxes = windows.boxes[: len(falls)]
    total = torch.zeros(windows.size, dtype=torch.float64)
    covered = torch.zeros_like(total)
    for box, fall in zip(boxes, falls.tolist(), strict=True):
        total[box] += fall
        covered[box] += 1
    stopped = len(boxes) < len(windows.boxes)
    return at_input(
        subject,
        target,
        total / covered,
        method="occlusion",
        title="Occlusion",
        signed=True,
        baseline=name,
        measures={
            "window": windows.side,
            "stride": windows.stride,
            "windows": len(boxes),
            "precision": precision,
        },
        notes=(*notes, *((f"interrupted after {len(boxes)} of {len(windows.boxes)} windows",) if stopped else ())),
        interrupted=stopped,
    )


def _falls(
    subject: Subject, target: int, baseline: torch.Tensor, windows: Windows, options: AttributionOptions
) -> tuple[torch.Tensor, str]:
    """Return the fall of the score of each window, in float64, fewer where it was interrupted; and the precision."""
    boxes, asked = windows.boxes, options.precision or "auto"
    if asked not in PRECISIONS:
        raise ArgumentError(f"there is no precision {asked!r}: give {', '.join(PRECISIONS)}")
    exact = _falls_by(subject, subject.replays, target, baseline)
    faster = _falls_by(subject, subject.replays.in_bf16, target, baseline)
    trial = asked == "auto" and is_faster_in_bf16(subject.replay.graph, subject.tensor)
    precision = "bf16" if trial or asked == "bf16" else "fp32"
    found = torch.zeros(0, dtype=torch.float64)
    size = max(1, forward_batch(subject.replay.graph, len(boxes) + 1) - 1)
    try:
        for batch in _batches(boxes[: windows.first] if trial else (), size):
            found = torch.cat([found, faster(batch)])
            options.progress(len(found), len(boxes), "occlusion")
        if trial and not _is_near(found, exact, boxes):
            found, precision = found[:0], "fp32"
        falls = faster if precision == "bf16" else exact
        for batch in _batches(boxes[len(found) :], size):
            found = torch.cat([found, falls(batch)])
            options.progress(len(found), len(boxes), "occlusion")
    except KeyboardInterrupt:
        if len(found) < windows.first:
            raise
    return found, precision


def _batches(boxes: Sequence[Box], size: int) -> Iterator[Sequence[Box]]:
    return (boxes[start : start + size] for start in range(0, len(boxes), size))


def _is_near(found: torch.Tensor, exact: Falls, boxes: Sequence[Box]) -> bool:
    """Return whether falls are the exact ones within the tolerance: the largest, and some that are evenly chosen."""
    even = torch.linspace(0, len(found) - 1, TRIED - 1).long().tolist()
    tried = [int(found.abs().argmax()), *even]
    off = found[tried] - exact([boxes[at] for at in tried])
    return bool(off.abs().max() <= TOLERANCE * found.abs().max())


def _falls_by(subject: Subject, replays: Replays, target: int, baseline: torch.Tensor) -> Falls:
    """Return a function that gives the fall of a class's score with each of some windows replaced, in float64."""
    axes, image = subject.geometry.image_axes, subject.tensor

    def falls(boxes: Sequence[Box]) -> torch.Tensor:
        # The whole image is in each batch, so that roundings that both share cancel.
        inputs = image.repeat(len(boxes) + 1, *(1 for _ in image.shape[1:]))
        for number, box in enumerate(boxes, start=1):
            place = [slice(None)] * (image.ndim - 1)
            for axis, along in zip(axes, box, strict=True):
                place[axis - 1] = along
            inputs[number][tuple(place)] = baseline[0][tuple(place)]
        found = replays.class_scores(inputs)[:, target].double()
        return found[0] - found[1:]

    return falls
