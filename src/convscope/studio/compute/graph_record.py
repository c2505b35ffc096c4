"""A network as the page shows it: a tree of blocks and layers with sizes, costs, fields and warnings, and its drawing.

Everything is read from the inspection; nothing is computed here. Runs of blocks that are alike are marked, so that the
page folds them: `repeat` of the first says how many there are and which. What is usual is left out, as a page waits for
all of a thousand layers: no parameters, no MACs, no warnings, an exact field, a connection to the next box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from convscope.errors import CaptureError
from convscope.geometry.relation import ReachStatus
from convscope.graph.axes import batch_of
from convscope.graph.diagnose.diagnose import Folded, fold_warnings
from convscope.graph.fold import TreeItem, alike_runs, layer_tree
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.summary import Layer
from convscope.interpret.inspection.layer_table import operation
from convscope.interpret.inspection.network_drawing import placed_units
from convscope.interpret.inspection.network_layout import Edge
from convscope.interpret.inspection.network_places import Places, Point
from convscope.interpret.inspection.network_units import family_of
from convscope.interpret.replay.class_scores import scores_value
from convscope.report.units import plural
from convscope.studio.compute.opened_model import OpenedModel, drawn_shape, key_of

WARNINGS_APART = 40  # more are named once for all layers that they concern


def graph_record(opened: OpenedModel) -> dict[str, Any]:
    """Return a network's record, as JSON's types."""
    inspection, graph = opened.inspection, opened.graph
    tree = UnitTree(opened)
    return {
        "key": opened.key,
        "title": opened.title,
        "weights": opened.weights,
        "weights_note": "; ".join(opened.notes),
        "input": list(opened.network.input_shape or ()),
        "classes": list(opened.classes) or None,
        "class_count": _class_count(opened),
        "multi_label": opened.multi_label,
        "totals": {
            "parameters": inspection.parameters,
            "macs": inspection.macs,
            "values": inspection.activation_bytes // 4,
            "layers": len(inspection.layers),
        },
        "notes": list(graph.notes),
        "warnings": [
            {
                "text": group.first.message
                + (f"; likewise {plural(len(group.others), 'other layer')}" * bool(group.others)),
                "advice": group.first.remedy,
                "severity": group.first.severity,
                "unit": tree.ids.get(group.first.layer),
            }
            for group in tree.warnings
        ],
        "families": tree.families,
        "units": tree.units,
        "drawing": _drawing(opened, tree),
    }


def _class_count(opened: OpenedModel) -> int | None:
    """Return how many classes have a score; None of a network that gives something else."""
    try:
        shape = opened.graph.shape(scores_value(opened.graph))
    except CaptureError:  # it gives whole numbers alone
        return None
    if len(shape) == 1 and shape[0] != batch_of(opened.graph):  # whose axis of images was squeezed away
        return shape[0]
    return shape[1] if len(shape) == 2 and shape[1] > 1 else None


class UnitTree:
    """The units of the tree, and their numbers by name."""

    def __init__(self, opened: OpenedModel) -> None:
        self.opened = opened
        self.units: list[dict[str, Any]] = []
        self.ids: dict[str, int] = {}
        self.families: dict[str, str] = {}  # by the type of a unit
        self._warned: dict[str, list[int]] = {}
        found = opened.inspection.warnings
        many = len(found) > WARNINGS_APART
        self.warnings: Sequence[Folded] = fold_warnings(found) if many else [Folded(one, ()) for one in found]
        for number, group in enumerate(self.warnings):
            for name in (group.first.layer, *group.others):
                self._warned.setdefault(name, []).append(number)
        self._batch = opened.inspection.batch
        self._macs = max(1, opened.inspection.macs)
        graph = opened.graph
        for value in graph.inputs:
            name, shape = graph.values[value].name, list(drawn_shape(opened, value))
            self._add(None, 0, name, "input", name, "input", shape, 0, 0, key_of(opened, value), None)
        self._grow(layer_tree(graph, opened.inspection.layers).children, None, 0)

    def _grow(self, items: Sequence[TreeItem], parent: int | None, depth: int) -> None:
        for run in alike_runs(items):
            members = [self._one(item, parent, depth) for item in run]
            if len(run) > 1:
                first = self.units[members[0]]
                first["repeat"] = {"count": len(run), "first": members[0], "ids": members}
                for number in members[1:]:
                    self.units[number]["repeat"] = {"count": len(run), "first": members[0]}

    def _one(self, item: TreeItem, parent: int | None, depth: int) -> int:
        layers = tuple(item.layers())
        last = layers[-1] if layers else None
        parameters = sum(layer.parameters for layer in layers)
        known = [layer.macs for layer in layers]
        macs = None if None in known else sum(found or 0 for found in known) // self._batch
        kind = "block" if item.layer is None else "layer" if item.layer.kind else "operation"
        type_ = item.kind if item.layer is None else operation(item.layer)
        if item.layer is not None and (family := family_of(item.layer.op)) != "other":
            self.families[type_] = family
        shape = [] if last is None or last.output is None else list(drawn_shape(self.opened, last.output))
        value = None if last is None or last.output is None else key_of(self.opened, last.output)
        number = self._add(
            parent, depth, item.path, kind, item.local, type_, shape, parameters, macs, value, self._field(last)
        )
        self._grow(item.children, number, depth + 1)
        return number

    def _add(
        self,
        parent: int | None,
        depth: int,
        name: str,
        kind: str,
        label: str,
        type_: str,
        shape: list[int],
        parameters: int,
        macs: int | None,
        value: str | None,
        field: dict[str, Any] | None,
    ) -> int:
        number = len(self.units)
        self.ids.setdefault(name, number)
        share, warned = 0.0 if not macs else round(macs / self._macs, 4), self._warned.get(name)
        self.units.append({
            "id": number,
            "parent": parent,
            "depth": depth,
            "name": name,
            "kind": kind,
            "label": label,
            "type": type_,
            "shape": shape,
            "value": value,
            **({"parameters": parameters} if parameters else {}),
            **({"macs": macs} if macs != 0 else {}),
            **({"share": share} if share else {}),
            **({"field": field} if field else {}),
            **({"warnings": warned} if warned else {}),
        })  # fmt: skip
        return number

    def _field(self, layer: Layer | None) -> dict[str, Any] | None:
        source = self.opened.inspection.source
        along = () if layer is None or source is None else layer.field_along(source)
        return _field_record(along) if along else None


def _field_record(along: Sequence[ReceptiveField]) -> dict[str, Any]:
    worst = max(along, key=lambda field: field.status)
    known = {"size": [field.size for field in along], "stride": [_number(field.stride) for field in along]}
    return known if worst.status is ReachStatus.EXACT else known | {"status": worst.status.label}


def _number(stride: Fraction | None) -> int | float | None:
    return None if stride is None else int(stride) if stride.denominator == 1 else round(float(stride), 4)


def _drawing(opened: OpenedModel, tree: UnitTree) -> dict[str, Any]:
    _, places = placed_units(opened.graph, opened.inspection.layers)
    nodes: list[dict[str, Any]] = []
    numbers: dict[int, int] = {}
    for spot in places.layout.spots.values():
        unit, extent = spot.unit, places.extent(spot)
        x, y = places.centre(spot)
        numbers[unit.index] = len(nodes)
        number = tree.ids.get(unit.name)
        own = None if number is None else tree.units[number]["value"]
        value = key_of(opened, unit.outputs[-1]) if unit.outputs else None
        nodes.append({
            "unit": number,
            "x": round(x - extent.width / 2, 1),
            "y": round(y - extent.height / 2, 1),
            "w": round(extent.width, 1),
            "h": round(extent.height, 1),
            "family": unit.family,
            "labels": list(unit.labels),
            **({"count": unit.count} if unit.count > 1 else {}),
            **({"value": value} if value != own else {}),
        })  # fmt: skip
    edges = [drawn for edge in places.layout.edges for drawn in _edges(edge, places, numbers, nodes)]
    return {
        "box": _extent(nodes, edges),
        "families": sorted({node["family"] for node in nodes}),
        "nodes": nodes,
        "edges": edges,
    }


def _extent(nodes: Sequence[dict[str, Any]], edges: Sequence[dict[str, Any]]) -> list[float]:
    """Return left, top, width and height of what is drawn, with a margin; a line of a label takes 11."""
    points = [
        *(point for edge in edges for point in edge["points"]),
        *((node["x"] - 16, node["y"] - 8) for node in nodes),
        *((node["x"] + node["w"] + 16, node["y"] + node["h"] + 8 + 11 * len(node["labels"])) for node in nodes),
    ]
    (left, right), (top, bottom) = ((min(along) - 4, max(along) + 4) for along in zip(*points, strict=True))
    return [round(number, 1) for number in (left, top, right - left, bottom - top)]


def _edges(
    edge: Edge, places: Places, numbers: dict[int, int], nodes: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the stretches of a connection: two of them where it leads from one row to the next."""
    source, target = numbers[edge.source.unit.index], numbers[edge.target.unit.index]
    for corners in places.corners(edge):
        yield {
            "from": nodes[source]["unit"],
            "to": nodes[target]["unit"],
            "points": [_rounded(point) for point in corners],
            **({"skip": True} if edge.target.rank - edge.source.rank > 1 else {}),
        }


def _rounded(point: Point) -> list[float]:
    return [round(point[0], 1), round(point[1], 1)]
