"""Attributions of a run, each handed on when it is ready, with its checks after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.errors import DataError
from convscope.interpret.attribution.checks.check import check_attributions
from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.methods import attribute, find_method
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.attribution.record import Attribution
from convscope.studio.compute.image_run import ImageRun, StillWanted
from convscope.studio.protocol import Packet, joined


def attribution_packet(
    run: ImageRun,
    method: str,
    *,
    target: int | None = None,
    layer: str | None = None,
    checks: bool = True,
    check: StillWanted = lambda: None,
    tell: Callable[[Packet], None] = lambda _: None,
) -> Packet:
    """Return a method's map, and whether to believe it: first the map, then the checks, each told when it is ready.

    Args:
        run: the network and the image.
        method: one of `METHODS`.
        target: the class; the predicted one unless given.
        layer: of methods that take one; the last with a map unless given.
        checks: with random weights, deletion and insertion, and the same map again.
        check: is called between two forward passes, and raises where the work is wanted no more.
        tell: is called with each part.

    Raises:
        ArgumentError: no such method.
        CaptureError: no such layer, or no gradient.
        GeometryError: no such class.
    """
    if len(run.inputs) > 1:
        raise DataError("attributions are of networks with one input: this one has several")

    def progress(done: int, total: int, what: str) -> None:
        check()
        tell(Packet({"part": "progress", "done": done, "total": total, "what": what}))

    takes = find_method(method).takes
    check()
    options = AttributionOptions(layer=layer if "layer" in takes else None, progress=progress)
    found = attribute(run.subject, method, target=target, options=options)
    parts = [_map(run, found)]
    check()
    tell(parts[0])
    if checks:
        (judged,) = check_attributions(run.subject, [found], progress=progress)
        parts.append(_checks(judged))
        tell(parts[-1])
    run.forget_gradients()
    return joined(parts, method=found.method, done=True)


def _map(run: ImageRun, found: Attribution) -> Packet:
    """Return a map as float32: on the image's positions, then on the layer's cells."""
    image, cells = (_plane(numbers) for numbers in (found.map, found.cells))
    scale = found.scale
    header: dict[str, Any] = {
        "part": "map",
        "method": found.method,
        "title": found.title,
        "layer": found.layer,
        "class": found.target,
        "class_name": found.class_name,
        "score": found.score,
        "signed": found.signed,
        "baseline": found.baseline,
        "shape": list(image.shape),
        "cells": list(cells.shape),
        "lo": float(np.nanmin(image)) if image.size else 0.0,
        "hi": float(np.nanmax(image)) if image.size else 0.0,
        "scale": {"kind": scale.kind, "lo": scale.low, "hi": scale.high},
        "evidence": found.has_evidence,
        "measures": dict(found.measures),
        "notes": list(found.notes),
        "headline": found.headline(),
    }
    return Packet(header, _floats(image) + _floats(cells))


def _plane(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers on positions as rows and columns: a signal is one row, of a volume the middle slice."""
    numbers = np.atleast_1d(numbers)
    while numbers.ndim > 2:
        numbers = numbers[len(numbers) // 2]
    return numbers.reshape(1, -1) if numbers.ndim == 1 else numbers


def _floats(numbers: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(numbers, dtype=np.float32).tobytes()


def _checks(judged: AttributionChecks) -> Packet:
    known = judged.to_dict()
    return Packet({
        "part": "checks",
        "verdict": judged.verdict,
        "failed": list(judged.failed),
        "lines": [{"text": text, "warning": text in judged.warnings} for text in judged.sentences],
        "table": known,
    })  # fmt: skip
