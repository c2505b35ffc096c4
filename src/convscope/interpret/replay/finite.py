"""Where a network's numbers stop being finite: the first operation, and the weights that it read."""

from __future__ import annotations

import torch

from convscope.errors import CaptureError
from convscope.interpret.replay.replay import Replay


def require_finite(run: Replay) -> None:
    """Raise CaptureError where a network's scores are not finite, with the first operation that made such numbers.

    A number that no score depends on may be anything: attention fills scores with minus infinity on purpose.

    >>> from torch import nn, ones
    >>> from convscope.interpret.replay.replays import Replays
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> _ = nn.init.constant_(network[0].bias, float("nan"))
    >>> require_finite(Replays(network, name="small").on(ones(1, 2)))
    Traceback (most recent call last):
    ...
    convscope.errors.CaptureError: small gives NaN: its 0.bias holds NaN, first read by 0
    """
    if bool(torch.isfinite(run.scores).all()):
        return
    graph, kind = run.graph, _kind(run.scores) or "numbers that are not finite"
    for value in run.inputs:
        if what := _kind(run.tensor(value)):
            raise CaptureError(f"{graph.name} gives {kind}: its {graph.values[value].name} holds {what}")
    way = {run.output}
    for node in reversed(graph.nodes):
        if not way.isdisjoint(node.outputs):
            way.update(node.inputs)
    for node in graph.nodes:
        made = [value for value in node.outputs if value in way]
        what = next(filter(None, (_kind(run.tensor(value)) for value in made)), "")
        # A logarithm of 0 in a mask is infinite on purpose; what it leads to is what counts.
        if what == "NaN" or (what and kind != "NaN"):
            held = [value for value in node.inputs if graph.values[value].kind in ("parameter", "buffer")]
            for value in held:
                if inside := _kind(run.tensor(value)):
                    weight, reader = graph.values[value].name, run.names.of_node(node)
                    raise CaptureError(
                        f"{graph.name} gives {kind}: its {weight} holds {inside}, first read by {reader}"
                    )
            raise CaptureError(f"{graph.name} gives {kind}: {run.names.of_node(node)} is the first that makes {what}")
    raise CaptureError(f"{graph.name} gives {kind}")


def _kind(tensor: torch.Tensor) -> str:
    """Return "NaN", "infinity", or "" where all numbers are finite."""
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
        return ""
    return "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
