"""Drawings: well formed, nothing on top of anything else, branches and repeats visible."""

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import pytest
import torch
from torch import nn

from catalogue_facts import inspected
from clocks import in_loops
from convscope.interpret.inspection.cost_bars import LARGE, cost_parts
from convscope.interpret.inspection.field_drawing import field_growth
from convscope.interpret.inspection.network_drawing import network_places, placed_units
from convscope.interpret.inspection.network_layout import lay_out
from convscope.interpret.inspection.network_places import Places
from convscope.interpret.inspection.network_units import Unit, network_units
from convscope.interpret.inspection.record import Inspection, inspect
from convscope.nets import catalogue
from convscope.report.svg import Drawing, text_width

SAMPLE = ("lenet5", "googlenet", "resnet152", "unet", "densenet121", "inception_v3", "mobilenet_v3_small", "m5", "c3d")
SMALLEST_TEXT = 10.0  # pixels; a page shows drawings at their own size
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def inspections() -> dict[str, Inspection]:
    return {name: inspected(name) for name in SAMPLE}


def _units(inspection: Inspection) -> list[Unit]:
    return network_units(inspection.graph, inspection.layers)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_drawing_obeys_its_laws(name: str, inspections: dict[str, Inspection]):
    drawing_obeys_its_laws(inspections[name])


@pytest.mark.long  # half a minute: every architecture is built
@pytest.mark.parametrize("name", sorted(catalogue.names()))
def test_every_drawing_obeys_its_laws(name: str):
    drawing_obeys_its_laws(inspected(name))


def drawing_obeys_its_laws(inspection: Inspection) -> None:
    drawing = inspection.figure()
    root = ET.fromstring(drawing.document())
    boxes_lie_beside_each_other(root, drawing)
    texts_lie_beside_each_other(root, drawing)
    units, places = placed_units(inspection.graph, inspection.layers)
    data_flows_to_the_right(places)
    every_connection_is_drawn(inspection, units, places)
    growth = inspection.field_figure()
    if growth is not None:
        texts_lie_beside_each_other(ET.fromstring(growth.document()), growth)


def boxes_lie_beside_each_other(root: ET.Element, drawing: Drawing) -> None:
    boxes = []
    for rect in root.iter(f"{SVG}rect"):
        if rect.find(f"{SVG}title") is not None:
            x, y, width, height = (float(rect.get(key, "nan")) for key in ("x", "y", "width", "height"))
            boxes.append((x, y, x + width, y + height))
    apart_and_inside(boxes, drawing)


def texts_lie_beside_each_other(root: ET.Element, drawing: Drawing) -> None:
    boxes = []
    for text in root.iter(f"{SVG}text"):
        size, x, y = (float(text.get(key, "nan")) for key in ("font-size", "x", "y"))
        assert size >= SMALLEST_TEXT, f"{text.text} is of {size} pixels"
        width = text_width(text.text or "", size)
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
        boxes.append((left, y - 0.75 * size, left + width, y + 0.2 * size))
    apart_and_inside(boxes, drawing)


def apart_and_inside(boxes: list[tuple[float, float, float, float]], drawing: Drawing) -> None:
    for left, top, right, bottom in boxes:
        assert left >= -0.1 and top >= -0.1 and right <= drawing.width + 0.1 and bottom <= drawing.height + 0.1
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] + 0.1 or b[2] <= a[0] + 0.1 or a[3] <= b[1] + 0.1 or b[3] <= a[1] + 0.1, f"{a} on {b}"


def data_flows_to_the_right(places: Places) -> None:
    layout = places.layout
    for edge in layout.edges:
        assert edge.source.rank < edge.target.rank or (edge.route == "level" and edge.source.level != edge.target.level)
    spots = [(spot.rank, *spot.line) for spot in layout.spots.values()]
    assert len(set(spots)) == len(spots)


def every_connection_is_drawn(inspection: Inspection, units: list[Unit], places: Places) -> None:
    """From box to box, through none, whatever a unit reads from another."""
    edges = {(edge.source.unit.index, edge.target.unit.index) for edge in places.layout.edges}
    assert edges == {(before.index, unit.index) for unit in units for before in unit.before}
    assert len(edges) == len(places.layout.edges)
    boxes = {}
    for index, spot in places.layout.spots.items():
        (x, y), extent = places.centre(spot), places.extents[index]
        boxes[index] = (x - extent.width / 2, y - extent.height / 2, x + extent.width / 2, y + extent.height / 2)
    for edge in places.layout.edges:
        for corners in places.corners(edge):
            for (ax, ay), (bx, by) in pairwise(corners):
                assert ax == bx or ay == by, "connections are straight"
                for index, (left, top, right, bottom) in boxes.items():
                    through = min(ax, bx) < right - 0.1 and max(ax, bx) > left + 0.1
                    through = through and min(ay, by) < bottom - 0.1 and max(ay, by) > top + 0.1
                    assert not through, (
                        f"{edge.source.unit.tip} to {edge.target.unit.tip} runs through {units[index].tip}"
                    )


def test_a_residual_block_has_its_shortcut_around_and_its_projection_beside(inspections: dict[str, Inspection]):
    units = _units(inspections["resnet152"])
    layout = lay_out(units, width_of=lambda unit: 1.0, room=1e9)
    assert sum(unit.family == "join" for unit in units) == 8  # the first two blocks of four stages; others are folded
    assert {spot.lane for spot in layout.spots.values()} == {0, 1}
    assert sum(edge.route == "over" for edge in layout.edges) == 4  # the second blocks' identities
    assert [u.count for u in units if u.family == "block"] == [1, 6, 34, 1]


def test_an_encoder_and_its_decoder_are_a_u_with_its_bridges_across(inspections: dict[str, Inspection]):
    layout = network_places(_units(inspections["unet"])).layout
    assert layout.levels == 5 and layout.row_starts == (0,)
    by_rank = sorted(layout.spots.values(), key=lambda spot: spot.rank)
    levels = [spot.level for spot in by_rank]
    bottom = levels.index(4)
    assert levels[:bottom] == sorted(levels[:bottom]) and levels[-1] == 0
    bridges = [e for e in layout.edges if e.target.unit.family == "join" and e.target.rank - e.source.rank > 1]
    assert [(e.source.level, e.target.level, e.route) for e in bridges] == [(n, n, "over") for n in (3, 2, 1, 0)]


def test_a_network_whose_maps_only_shrink_has_one_level(inspections: dict[str, Inspection]):
    assert {network_places(_units(one)).layout.levels for name, one in inspections.items() if name != "unet"} == {1}


def test_a_dense_blocks_connections_are_drawn(inspections: dict[str, Inspection]):
    units = _units(inspections["densenet121"])
    layout = network_places(units).layout
    over = [edge for edge in layout.edges if edge.route == "over"]
    assert len(over) == 6  # the first block's six layers; the others are folded, with the sign of what is in them
    folded = [unit for unit in units if unit.labels[0].startswith("denseblock")]
    assert [unit.skips for unit in folded] == [1, 1, 1]
    assert [unit.labels[1] for unit in folded] == ["12× DenseLayer", "24× DenseLayer", "16× DenseLayer"]


class Tokens(nn.Module):
    """Patches of an image as tokens through layers of a transformer, as `nn` has them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 24, 8, stride=8), nn.LayerNorm(24)
        self.layers = nn.Sequential(*(nn.TransformerEncoderLayer(24, 2, 48, batch_first=True) for _ in range(3)))
        self.head = nn.Linear(24, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.patches(image).flatten(2).transpose(1, 2))
        return self.head(self.layers(tokens).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(9, 8), nn.LSTM(8, 16, batch_first=True)
        self.cell, self.head = nn.GRUCell(16, 16), nn.Linear(16, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        steps = self.lstm(self.embedding(tokens))[0]
        state = steps.new_zeros(len(steps), 16)
        for step in range(steps.shape[1]):
            state = self.cell(steps[:, step], state)
        return self.head(state)


class Siblings(nn.Module):
    """A convolution for each of some channels, as LeNet-5 of 1998 has, and an enlargement at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.each = nn.Conv2d(1, 5, 3, stride=2), nn.ModuleList(nn.Conv2d(1, 2, 3) for _ in range(5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.first(image)
        joined = torch.cat([conv(maps[:, n : n + 1]) for n, conv in enumerate(self.each)], 1)
        return nn.functional.interpolate(joined, scale_factor=2)


class Iterated(nn.Module):
    """An update of shared weights, from a state that starts as nothing, as of an optical flow."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times, self.encoder = times, nn.Conv2d(3, 8, 3, padding=1)
        self.update, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.encoder(image)
        state = maps
        for _ in range(self.times):
            state = state + self.head(self.update(maps * state)).mean(1, keepdim=True)
        return state


OTHERS = {
    "iterated": lambda: inspect(Iterated(7), (3, 16, 16)),
    "tokens": lambda: inspect(Tokens(), (3, 64, 64)),
    "recurrent": lambda: inspect(Recurrent(), torch.zeros(1, 6, dtype=torch.int64)),
    "siblings": lambda: inspect(Siblings(), (1, 32, 32)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_drawings_of_other_kinds_of_networks_obey_the_laws(name: str):
    drawing_obeys_its_laws(OTHERS[name]())


def test_tokens_have_their_features_as_width_and_the_side_of_their_map_as_height():
    first, *others, last = _units(OTHERS["tokens"]())[1:]
    assert first.shape == (24, 8, 8) and last.shape == (5,)
    assert {(unit.shape[0], unit.side) for unit in others if unit.family == "block"} == {(24, 8)}
    assert {unit.labels[-1] for unit in others if unit.family == "block"} == {"24"}


def test_recurrent_layers_are_drawn_and_slices_of_the_input_are_not():
    names = [unit.labels[0] for unit in _units(OTHERS["recurrent"]())]
    assert names[:3] == ["input", "embedding", "lstm"] and names[-1] == "fc" and "select" not in names


def test_many_alike_units_side_by_side_are_drawn_as_one():
    units = _units(OTHERS["siblings"]())
    assert [unit.labels[0] for unit in units] == ["input", "3×3/2", "5× 3×3", "cat", "upsample"]
    assert units[2].count == 5 and all(f"each.{n}" in units[2].tip for n in range(5))
    assert network_places(units).layout.levels == 1  # one enlargement at the end is no decoder


def test_iterations_of_an_update_are_drawn_once_whatever_their_number():
    few, many = (_units(inspect(Iterated(times), (3, 16, 16))) for times in (5, 40))
    assert len(few) == len(many) < 20
    assert [unit.labels for unit in few if unit.count > 1] == [("3 iterations", "as before", "8")]
    assert [unit.labels for unit in many if unit.count > 1] == [("38 iterations", "as before", "8")]
    assert len(_units(inspect(Iterated(2), (3, 16, 16)))) == len(few) - 1
    joined = [before.labels[0] for unit in many if unit.count > 1 for before in unit.before]
    assert joined == ["3×3", "+"]  # the maps, and the state that the iteration before leaves


def test_a_block_that_a_path_only_numbers_has_its_classes_name():
    class Numbered(nn.Module):
        def __init__(self, kind: type[nn.Module]) -> None:
            super().__init__()
            self.body = nn.ModuleList(kind() for _ in range(3))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            for block in self.body:
                image = block(image)
            return image

    class Pair(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))

    named, plain = (inspect(Numbered(kind), (3, 8, 8)) for kind in (Pair, lambda: nn.Sequential(*Pair())))
    assert _units(named)[-1].labels[0] == "2× Pair" and _units(plain)[-1].labels[0] == "2× block"
    closed = network_units(named.graph, named.layers, limit=3)
    assert [unit.labels[0] for unit in closed[1:]] == ["Pair", "2× Pair"]


def test_rows_are_about_equally_full(inspections: dict[str, Inspection]):
    for name, one in inspections.items():
        places = network_places(_units(one))
        starts = [*places.layout.row_starts, places.layout.ranks]
        widths = [places.right[stop - 1] for stop in starts[1:]]
        assert min(widths) > 0.4 * max(widths), f"{name}: {widths}"


def test_a_value_that_only_a_copy_lies_before_has_its_connection():
    class Copied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x).permute(0, 2, 3, 1).contiguous().view(1, 8, 8, 4).permute(0, 3, 1, 2))

    units = _units(inspect(Copied(), (3, 8, 8)))
    assert [len(unit.before) for unit in units] == [0, 1, 1]


def test_a_thousand_layers_are_drawn_at_once():
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(4, 4, 1 + 2 * (n * n % 3), padding=n * n % 3) for n in range(1000))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for n, conv in enumerate(self.convs):
                x = conv(x) + x if n % 3 == 0 else conv(x)
            return x

    inspection = inspect(Long, (4, 8, 8))
    _, loops = in_loops(lambda: inspection.figure().markup())
    assert loops < 100


def test_the_field_is_drawn_where_there_is_one(inspections: dict[str, Inspection]):
    drawing = inspections["unet"].field_figure()
    assert drawing is not None and "grows to" in drawing.title
    ET.fromstring(drawing.document())
    assert inspect(nn.Linear(4, 2), (4,)).field_figure() is None


def test_a_field_that_grows_along_one_axis_and_shrinks_along_the_other_is_no_growth():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.high = (nn.Conv2d(1, 1, size, padding="same") for size in ((3, 9), (5, 3)))

        def forward(self, x):
            return torch.cat([self.wide(x), self.high(x)], 1)

    inspection = inspect(Branches(), (1, 16, 16))
    growth = field_growth(inspection.layers, inspection.source)
    assert [(step.layer.name, step.rows, step.columns) for step in growth] == [("wide", 3, 9), ("concat", 5, 9)]


def test_a_network_of_one_layer_can_be_drawn():
    ET.fromstring(inspect(nn.Linear(4, 2), (4,)).figure().document())


@pytest.mark.parametrize("name", SAMPLE)
def test_where_the_cost_is_names_no_part_that_holds_nearly_all(name: str, inspections: dict[str, Inspection]):
    layers = inspections[name].layers
    for costs in ([(one.name, one.parameters) for one in layers], [(one.name, one.macs or 0) for one in layers]):
        parts = cost_parts(costs)
        total = sum(cost for _, cost in parts)
        assert total == sum(cost for _, cost in costs) and len(parts) <= 13
        assert all(cost < LARGE * total or (part, cost) in costs for part, cost in parts)


def test_a_thousand_equal_parts_are_shown_as_runs_of_neighbours():
    parts = cost_parts([(f"layers.{n}", 5) for n in range(1000)])
    assert len(parts) == 12 and parts[0] == ("layers.0 to layers.83", 420)


def test_work_on_weights_takes_no_time_to_follow():
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.position = nn.Conv2d(3, 4, 1), nn.Parameter(torch.ones(4, 8, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            position = self.position
            for _ in range(60):
                position = position + position
            return self.conv(self.conv(x)[:, :3] + position[:3])

    assert [len(unit.before) for unit in _units(inspect(Doubled(), (3, 8, 8)))] == [0, 1, 1]
