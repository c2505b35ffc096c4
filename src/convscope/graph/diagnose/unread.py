"""Findings about maps: positions that nothing reads, not even in a copy of the map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from convscope.geometry.axis_names import axis_names
from convscope.geometry.relation import Mix, Taps
from convscope.geometry.taps import TapTable
from convscope.graph.diagnose.finding import DesignWarning, DiagnosedNetwork, FindingSeverity, by, share
from convscope.graph.records import Node, Path
from convscope.graph.vocabulary import MOVES
from convscope.report.units import plural

# Below this share of a map, what is never read is a border effect: worth a note, no more.
_BORDER_SHARE = 0.02


def never_read(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield the positions of a map that none of its readers reads, because windows round down or step over them."""
    unread_of = _unread_by_value(subject)
    reported: set[int] = set()
    for node in subject.nodes:
        if not node.windows:
            continue
        value = subject.source(node)
        sizes = subject.spatial(value)
        root = _root(subject, value)
        unread = unread_of.get(value, ())
        if root in reported or not any(unread) or not any(unread_of.get(root, ())):
            continue
        reported.add(root)
        windows = subject.windows(node)
        sizes, unread = sizes[-len(windows) :], unread[-len(windows) :]
        lost = prod(sizes) - prod(size - len(u) for size, u in zip(sizes, unread, strict=True))
        where = " and ".join(_positions(sorted(u), axis, len(sizes)) for axis, u in enumerate(unread) if u)
        window, size = next((w, n) for w, n, u in zip(windows, sizes, unread, strict=True) if u)
        inside = any(u and min(u) < n - window.stride for u, n in zip(unread, sizes, strict=True))
        short = window.stride - window.remainder(size)
        severity: FindingSeverity = "warning" if lost / prod(sizes) >= _BORDER_SHARE else "note"
        yield DesignWarning(
            layer=subject.name(node),
            kind="never-read",
            severity=severity,
            message=f"{subject.name(node)} never reads {share(lost, prod(sizes))} of {_map(sizes)}",
            evidence=f"{where} of the map: kernel {window.kernel_size}, stride {window.stride}, padding "
            f"{window.padding_before}; no other layer reads them either",
            remedy="use a stride no larger than the kernel, or pool before striding"
            if inside
            else f"pad by {short} more on one side, or use {'ceil_mode or ' if 'pool' in node.op else ''}an input size "
            "that divides",
        )


def _root(subject: DiagnosedNetwork, value: int) -> int:
    """Return the map that this one copies, before activations, normalisations, padding and cropping."""
    while True:
        producer = subject.graph.values[value].producer
        node = None if producer is None else subject.graph.nodes[producer]
        paths = [path for path in (node.paths or () if node else ()) if path.output == value]
        copies = len({path.source for path in paths}) == 1 and all(
            not path.steps or (node is not None and _only_moves_along_axes(node, path)) for path in paths
        )
        if not copies or len(subject.graph.shape(paths[0].source)) != len(subject.graph.shape(value)):
            return value
        value = paths[0].source


def _only_moves_along_axes(node: Node, path: Path) -> bool:
    """Return whether each position is one position of the source or none: padding, cropping, flipping, rolling."""
    return node.op in MOVES and all(isinstance(step, Taps) for step in path.steps)


def _unread_by_value(subject: DiagnosedNetwork) -> dict[int, tuple[frozenset[int], ...]]:
    """Return, by value, the positions along each spatial axis that nothing reads, not even through copies of the value.

    Values that nothing reads at all have no entry.
    """
    readers: dict[int, list[tuple[Node, Path | None]]] = {}
    for node in subject.nodes:
        for value in node.inputs if node.paths is None else ():
            readers.setdefault(value, []).append((node, None))
        for path in node.paths or ():
            readers.setdefault(path.source, []).append((node, path))
    outputs = frozenset(subject.graph.outputs)
    unread: dict[int, tuple[frozenset[int], ...]] = {}
    for value in range(len(subject.graph.values) - 1, -1, -1):
        sizes = subject.spatial(value)
        found: list[tuple[frozenset[int], ...]] = []
        for node, reader in readers.get(value, ()):
            if reader is None or (reader.steps and not _only_moves_along_axes(node, reader)):
                found.append(tuple(_missed(reader, axis) for axis in range(2, 2 + len(sizes))))
            elif reader.output in unread:
                after = unread[reader.output]
                found.append(after if not reader.steps else tuple(map(_missed_through, _tables(reader, sizes), after)))
        if value in outputs:
            unread[value] = (frozenset(),) * len(sizes)
        elif found:
            unread[value] = tuple(frozenset.intersection(*sets) for sets in zip(*found, strict=True))
    return unread


def _missed(path: Path | None, axis: int) -> frozenset[int]:
    """Return the positions along an axis that one reader does not read."""
    taps = None if path is None else _taps_along(path, axis)
    return frozenset() if taps is None else frozenset(taps.table.never_read())


def _tables(path: Path, sizes: Sequence[int]) -> list[TapTable | None]:
    """Return for each spatial axis the path's table of positions, or None if it keeps all of them."""
    found = [_taps_along(path, axis) for axis in range(2, 2 + len(sizes))]
    return [None if taps is None else taps.table for taps in found]


def _missed_through(table: TapTable | None, after: frozenset[int]) -> frozenset[int]:
    """Return the positions of a map that are not read, when those in `after` of its moved copy are not."""
    if table is None:
        return after
    live = np.array([u not in after for u in range(table.output_size)], dtype=bool)
    read = table.positions[live][table.inside[live]]
    return frozenset(range(table.input_size)) - frozenset(int(i) for i in read)


def _taps_along(path: Path, axis: int) -> Taps | None:
    """Return the path's first step along an axis, if it picks positions; None where it reads them all."""
    for step in path.steps:
        if isinstance(step, Taps):
            if step.axis == axis:
                return step
        elif not isinstance(step, Mix) or step.axis == axis:
            return None
    return None


def _map(sizes: Sequence[int]) -> str:
    return f"its {by(sizes)} input" if len(sizes) > 1 else f"the {plural(sizes[0], 'position')} of its input"


def _positions(positions: list[int], axis: int, dimensions: int) -> str:
    name = axis_names(dimensions)[axis]
    if len(positions) == 1:
        return f"{name.removesuffix('s')} {positions[0]}"
    shown = ", ".join(map(str, positions[:3]))
    return f"{name} {shown}" if len(positions) <= 3 else f"{name} {shown}, … ({len(positions)} in all)"
