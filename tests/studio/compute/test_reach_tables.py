"""What a page lights up from tables is what the exact walk of a cell finds, on the image and on every layer between."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import CaptureError
from convscope.geometry.relation import ReachStatus
from convscope.graph.reach_hulls import hulls_back, hulls_on
from convscope.graph.reach_walk import walk_back, walk_on
from convscope.interpret.receptive_field import field
from convscope.studio.compute.field import position_of
from convscope.studio.compute.opened_model import OpenedModel, map_shape, open_model, value_of
from convscope.studio.compute.reach_tables import reach_packet
from convscope.studio.protocol import Packet, StudioError
from explored_networks import NETWORKS, opened
from graphs import Builder

CELLS, CELLS_OF_SIX = 10, 1002
CATALOGUE = ("lenet5", "resnet18", "googlenet", "densenet121", "mobilenet_v2", "unet")


def test_a_table_says_where_a_convolution_reads() -> None:
    network = opened(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3)))
    packet = reach_packet(network, "1")
    assert lit(packet, "0", (1, 2)) == {"y": (1, 3), "x": (2, 4)}
    assert lit(packet, "input", (1, 2)) == {"y": (2, 8), "x": (4, 10)}
    assert packet.header["channels_agree"]


@pytest.mark.parametrize("name", NETWORKS)
def test_lit_is_what_the_walk_of_a_cell_finds(name: str) -> None:
    torch.manual_seed(0)
    require_equal(opened(NETWORKS[name]()), CELLS, seed=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_lit_forward_is_what_the_walk_of_a_pixel_finds(name: str) -> None:
    network = opened(NETWORKS[name]())
    packet, draws = reach_packet(network, "input", direction="forward"), np.random.default_rng(2)
    for _ in range(4):
        at = tuple(int(draws.integers(size)) for size in map_shape(network, network.image)[1:])
        walk = walk_on(network.graph, network.image, (0, None, *at))
        for target in packet.header["targets"]:
            require_hull(network, packet, target, at, walk)


@pytest.mark.long
@pytest.mark.parametrize("name", CATALOGUE)
def test_lit_is_the_receptive_field_in_the_catalogue(name: str) -> None:
    network = open_model(name, key=name)
    require_equal(network, CELLS_OF_SIX // len(CATALOGUE), seed=3, targets_a_cell=3)


def test_lit_on_the_image_is_the_public_receptive_field() -> None:
    network = open_model("lenet5", key="lenet5")
    packet = reach_packet(network, "c3", channel=2)
    for at in ((0, 0), (4, 9)):
        spans = field(network.inspection, "c3", at, channel=2).spans
        assert tuple(lit(packet, "input", at).values()) == (spans[1], spans[0])  # columns come first


def test_channels_of_branches_have_their_own_tables() -> None:
    network = opened(NETWORKS["branches"]())
    joined = next(layer.name for layer in network.names.layers if layer.op == "concat")
    sizes = set()
    for channel in (0, 2, 5):
        packet = reach_packet(network, joined, channel=channel)
        assert not packet.header["channels_agree"]
        assert packet.header["channels"] == {0: [0, 1], 2: [2, 4], 5: [5, 7]}[channel]
        first, last = lit(packet, "input", (12, 12))["y"]
        sizes.add(last - first + 1)
    assert sizes == {3, 5, 7}


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_that_are_said_to_agree_do(name: str) -> None:
    network = opened(NETWORKS[name]())
    for layer in network.names.layers:
        key = network.names.of_value(layer.output)
        count = map_shape(network, layer.output)[0]
        first = reach_packet(network, key, channel=0)
        _, last = first.header["channels"]
        other = reach_packet(network, key, channel=last)
        assert other.body == first.body
        # The page asks without a channel first, and takes the tables for the channels that their header names.
        unasked = reach_packet(network, key)
        assert unasked.header["channels"] == first.header["channels"]
        assert (unasked.body, unasked.header["targets"]) == (first.body, first.header["targets"])
        assert other.header["targets"] == first.header["targets"]
        if first.header["channels_agree"]:
            assert last == count - 1


def test_holes_are_said() -> None:
    network = opened(nn.Sequential(nn.Conv2d(3, 2, 3, dilation=2), nn.Conv2d(2, 2, 3)))
    assert target_of(reach_packet(network, "0"), "input")["holes"]
    assert not target_of(reach_packet(network, "1"), "input")["holes"]


def test_a_vector_and_a_signal_have_tables() -> None:
    network = opened(nn.Sequential(nn.Conv1d(2, 3, 5, stride=3), nn.Flatten(), nn.Linear(30, 4)), (2, 32))
    signal = reach_packet(network, "0")
    assert lit(signal, "input", (0, 2)) == {"x": (6, 10)}
    assert lit(reach_packet(network, "2"), "input", (0, 0)) == {"x": (0, 31)}


def test_an_operation_without_a_rule_is_unknown_and_everywhere() -> None:
    net = Builder(1, 1, 8)
    last = net.conv(net.add((0, ()), known=False), 3)
    back, onward = hulls_back(net.graph(), last, 2), hulls_on(net.graph(), 0, 2)
    assert (back.status(0), onward.status(last)) == (ReachStatus.UNKNOWN, ReachStatus.UNKNOWN)
    assert back.along(0, 2).last.tolist() == [7] * 6
    assert onward.along(last, 2).first.tolist() == [0] * 8


def test_what_is_not_there_is_told() -> None:
    network = opened(NETWORKS["residual"]())
    with pytest.raises(CaptureError, match="no layer 'stam'"):
        reach_packet(network, "stam")
    with pytest.raises(StudioError, match="4 channels, 0 to 3: 4 is none"):
        reach_packet(network, "stem", channel=4)
    with pytest.raises(StudioError, match="none of backward, forward"):
        reach_packet(network, "stem", direction="up")


# --- helpers ---


def target_of(packet: Packet, value: str) -> dict[str, Any]:
    """Return the tables of one value."""
    return next(one for one in packet.header["targets"] if one["value"] == value)


def lit(packet: Packet, value: str, at: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """Return what a page lights up on a value for a cell (y, x): first and last along each axis."""
    numbers = np.frombuffer(bytes(packet.body or b""), packet.header["dtype"])
    places = dict(zip("xyz", reversed(at), strict=False))
    found = {}
    for letter, table in target_of(packet, value)["axes"].items():
        first, last = -1, 1 << 30
        for part in (table, *table.get("and", ())):
            start = part["offset"] + (places[part["along"]] if part["along"] else 0)
            first, last = max(first, int(numbers[start])), min(last, int(numbers[start + part["count"]]))
        found[letter] = (first, last)
    return found


def require_equal(network: OpenedModel, cells: int, *, seed: int, targets_a_cell: int | None = None) -> None:
    """Assert that tables are what walks find, of random cells of all values."""
    draws = np.random.default_rng(seed)
    outputs = [layer.output for layer in network.names.layers]
    packets: dict[tuple[int, int], Packet] = {}
    for _ in range(cells):
        value = outputs[int(draws.integers(len(outputs)))]
        channels, *sizes = map_shape(network, value)
        channel, at = int(draws.integers(channels)), tuple(int(draws.integers(size)) for size in sizes)
        name = network.names.of_value(value)
        agree = packets.get((value, -1)) or reach_packet(network, name, channel=channel)
        packet = agree if agree.header["channels_agree"] else reach_packet(network, name, channel=channel)
        packets[value, -1] = packet
        walk = walk_back(network.graph, value, position_of(network, value, channel, at))
        targets = packet.header["targets"]
        chosen = targets
        if targets_a_cell is not None:
            chosen = [targets[0], *(targets[int(n)] for n in draws.integers(len(targets), size=targets_a_cell))]
        for target in chosen:
            require_hull(network, packet, target, at, walk)


def require_hull(network: OpenedModel, packet: Packet, target: dict[str, Any], at: tuple[int, ...], walk: Any) -> None:
    """Assert that what is lit on a target is the hull of what a walk found there."""
    value = value_of(network, target["value"])
    read = walk.of(value) > 0
    axes = network.axes_of(value).positions
    shown = lit(packet, target["value"], at)
    for letter, axis in zip("xyz", reversed(axes), strict=False):
        where = np.flatnonzero(read.any(axis=tuple(a for a in range(read.ndim) if a != axis)))
        first, last = shown[letter]
        if target["axes"][letter].get("and"):
            assert target["holes"], "a bound, and said to be one"
            assert all(first <= place <= last for place in where)
        elif where.size:
            assert (first, last) == (where[0], where[-1]), (target["value"], letter, at)
        else:
            assert any(a > b for a, b in shown.values()), (target["value"], letter, at)
