"""All checks over one network, and the folding of equal findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from convscope.graph.diagnose import fields, network, shrinkage, unread, windows
from convscope.graph.diagnose.finding import DesignWarning, DiagnosedNetwork
from convscope.graph.propagate import Source
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Graph
from convscope.graph.summary import Layer

Check = Callable[[DiagnosedNetwork], Iterator[DesignWarning]]

CHECKS: tuple[Check, ...] = (
    network.unregistered_parameters,
    network.unused_parameters,
    network.dead_branch,
    windows.dead_taps,
    unread.never_read,
    fields.gridding,
    fields.small_field,
    fields.beyond_image,
    fields.far_below_image,
    shrinkage.shrinking,
    network.saturating,
    network.heavy_linear,
    network.bias_before_norm,
    windows.stride_over_kernel,
    windows.even_same,
    windows.aliasing,
)


def diagnose(
    graph: Graph,
    layers: Sequence[Layer],
    field_of: Sequence[Mapping[Source, ReceptiveField]],
    *,
    object_size: int | None = None,
) -> tuple[DesignWarning, ...]:
    """Everything that the checks find, warnings before notes.

    Args:
        graph: a captured network.
        layers: its layers, from `summary.summarise_layers`.
        field_of: the receptive fields by value, from `receptive_field.summarise_all`.
        object_size: side of what is to be recognised, in pixels; without it a field is compared to the image alone.
    """
    subject = DiagnosedNetwork(graph, layers, field_of, object_size)
    found = [finding for check in CHECKS for finding in check(subject)]
    # `never-read` reports the same positions with their share, so `stride-over-kernel` adds nothing.
    explained = {f.layer for f in found if f.kind == "never-read"}
    kept = [f for f in found if f.kind != "stride-over-kernel" or f.layer not in explained]
    return tuple(sorted(kept, key=lambda f: f.severity != "warning"))


@dataclass(frozen=True, slots=True)
class Folded:
    """Findings of one kind and severity: the first, and the layers of the others."""

    first: DesignWarning
    others: tuple[str, ...]


def fold_warnings(warnings: Sequence[DesignWarning]) -> tuple[Folded, ...]:
    """Return one entry per kind and severity, in the order of the first of each."""
    groups: dict[tuple[str, str], list[DesignWarning]] = {}
    for warning in warnings:
        groups.setdefault((warning.kind, warning.severity), []).append(warning)
    return tuple(Folded(group[0], tuple(w.layer for w in group[1:])) for group in groups.values())
