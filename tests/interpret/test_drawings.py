"""Drawings: well formed, nothing on top of anything else, branches and repeats visible."""

import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from torch import nn

from convscope.interpret.inspection.network_layout import lay_out
from convscope.interpret.inspection.network_units import Unit, network_units
from convscope.interpret.inspection.record import Inspection, inspect
from convscope.nets import catalogue
from convscope.nets.build import build

SAMPLE = ("lenet5", "googlenet", "resnet152", "unet", "densenet121", "inception_v3", "mobilenet_v3_small", "m5", "c3d")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def inspections() -> dict[str, Inspection]:
    return {n: inspect(lambda n=n: build(n), catalogue.find(n).input_shape, name=n) for n in SAMPLE}


def _units(inspection: Inspection) -> list[Unit]:
    return network_units(inspection.graph, inspection.layers)


@pytest.mark.parametrize("name", SAMPLE)
def test_boxes_lie_beside_each_other_and_inside_the_drawing(name: str, inspections: dict[str, Inspection]):
    drawing = inspections[name].figure()
    root = ET.fromstring(drawing.document())
    boxes = []
    for rect in root.iter(f"{SVG}rect"):
        if rect.find(f"{SVG}title") is not None:
            x, y, width, height = (float(rect.get(key, "nan")) for key in ("x", "y", "width", "height"))
            assert x >= 0 and y >= 0 and x + width <= drawing.width and y + height <= drawing.height
            boxes.append((x, y, x + width, y + height))
    assert len(boxes) > 3
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], f"{a} and {b} overlap"


@pytest.mark.parametrize("name", SAMPLE)
def test_data_flows_to_the_right(name: str, inspections: dict[str, Inspection]):
    layout = lay_out(_units(inspections[name]), width_of=lambda unit: 50.0, room=900.0)
    assert all(edge.source.rank < edge.target.rank for edge in layout.edges)
    places = [(spot.rank, spot.lane) for spot in layout.spots.values()]
    assert len(set(places)) == len(places)


def test_a_residual_block_has_its_shortcut_around_and_its_projection_beside(inspections: dict[str, Inspection]):
    units = _units(inspections["resnet152"])
    layout = lay_out(units, width_of=lambda unit: 1.0, room=1e9)
    assert sum(unit.family == "join" for unit in units) == 8  # the first two blocks of four stages; others are folded
    assert {spot.lane for spot in layout.spots.values()} == {0, 1}
    assert sum(edge.over for edge in layout.edges) == 4  # the second blocks' identities
    assert [u.count for u in units if u.family == "block"] == [1, 6, 34, 1]


def test_a_u_net_has_its_four_bridges(inspections: dict[str, Inspection]):
    layout = lay_out(_units(inspections["unet"]), width_of=lambda unit: 1.0, room=1e9)
    assert sum(edge.over for edge in layout.edges) == 4


def test_the_field_is_drawn_where_there_is_one(inspections: dict[str, Inspection]):
    drawing = inspections["unet"].field_figure()
    assert drawing is not None and "grows to" in drawing.title
    ET.fromstring(drawing.document())
    assert inspect(nn.Linear(4, 2), (4,)).field_figure() is None


def test_a_network_of_one_layer_can_be_drawn():
    ET.fromstring(inspect(nn.Linear(4, 2), (4,)).figure().document())
