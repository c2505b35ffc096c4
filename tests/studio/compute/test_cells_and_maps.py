"""Maps, exact numbers, fields and arithmetic of a run agree with each other, and with torch."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import ConvscopeError, GeometryError
from convscope.graph.reach_walk import walk_back
from convscope.interpret.explanation.given import NetworkInput
from convscope.studio.compute.cell import FIRST_GROUPS, cell_packet
from convscope.studio.compute.field import field_packet, position_of
from convscope.studio.compute.image_run import ImageRun
from convscope.studio.compute.maps import as_levels, maps_packet, values_packet
from convscope.studio.compute.opened_model import OpenedModel, map_shape
from convscope.studio.protocol import Packet, StudioError
from explored_networks import NETWORKS, ResidualNet, opened

WEIGHT = {"value": "weight"}


def run_on(network: OpenedModel, seed: int = 0, budget: int = 2**30) -> ImageRun:
    """Return a network's run on noise."""
    torch.manual_seed(seed)
    given = NetworkInput(torch.randn(1, *(network.network.input_shape or ())))
    run = ImageRun("r1", network, "noise", "noise", given, network.replays)
    run.compute(budget=budget)
    return run


def floats(packet: Packet) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytes(packet.body or b""), np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_numbers_and_arithmetic_are_of_one_run(name: str) -> None:
    torch.manual_seed(0)
    network = opened(NETWORKS[name]())
    run, draws = run_on(network), np.random.default_rng(1)
    for layer in network.names.layers:
        key = network.names.of_value(layer.output)
        packet = maps_packet(run, key)
        count, height, width = packet.header["shape"]
        levels = np.frombuffer(bytes(packet.body or b""), np.uint8).reshape(-1, height, width)
        channel = int(draws.integers(min(count, len(levels))))
        exact = floats(values_packet(run, key, channel, None)).reshape(height, width)
        low, high = packet.header["lo"][channel], packet.header["hi"][channel]
        assert np.abs(low + levels[channel] * (high - low) / 255 - exact).max() <= (high - low) / 500 + 1e-6
        y, x = int(draws.integers(height)), int(draws.integers(width))
        cell = cell_packet(run, key, channel, (y, x)).header
        assert cell["number"] == exact[y, x]
        assert cell["check"]["difference"] == pytest.approx(0, abs=1e-4)
        assert cell["formula"]["mathml"].startswith("<math") and cell["formula"]["text"]


def test_levels_of_the_largest_and_the_smallest_numbers() -> None:
    # Between float32's ends the difference is infinite; of its least numbers 255 over the difference is.
    for scale in (3e38, 1e-40, 1e-44, 1.0):
        maps = torch.tensor([[[-scale, 0.0, scale]]])
        levels, low, high = as_levels(maps)
        assert levels[0, 0, [0, 2]].tolist() == [0, 255] and levels[0, 0, 1] in (127, 128)
        assert (low[0], high[0]) == (maps.min(), maps.max())


def test_what_gives_no_scores_is_said_in_words() -> None:
    one = nn.Sequential(nn.Conv2d(3, 4, 24), nn.Flatten(), nn.Linear(4, 1))
    for network, given in ((nn.Conv2d(3, 4, 3), "4×22×22"), (one, "one number")):
        prediction = run_on(opened(network)).prediction()
        assert prediction["note"] == f"the network gives {given}, and no scores of classes"


def sums_run_to_the_number(pages: list[dict[str, Any]]) -> None:
    """Assert that each term's running sum is that of all terms before it, and that each page's steps end the sum."""
    total, number = 0.0, pages[0]["number"]
    for page in pages:
        for term in (term for group in page["groups"] for term in group["terms"]):
            total += term["product"]
            assert ("running" in term) == page["adds"]
            assert term.get("running", total) == pytest.approx(total, abs=1e-6)
        *others, last = page["steps"]
        assert (last["kind"], last["number"], last["running"]) == ("result", number, number)
        assert ("rest" in [step["kind"] for step in others]) == (page["adds"] and page is not pages[-1])
        sums = [step for step in others if step["kind"] in ("rest", "bias")]
        for before, step in zip([total, *(step["running"] for step in sums)], sums, strict=False):
            assert before + step["number"] == pytest.approx(step["running"], abs=1e-6)
        if page["kind"] == "products":
            assert [total, *(step["running"] for step in sums)][-1] == pytest.approx(page["sum"], abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_terms_add_up_and_lead_to_pixels(name: str) -> None:
    network = opened(NETWORKS[name]())
    run = run_on(network)
    key, channel, at = network.names.of_value(network.graph.outputs[0]), 0, (0, 0)
    for _ in range(60):
        cell = cell_packet(run, key, channel, at).header
        if cell["kind"] == "input":
            break
        json.dumps(cell)
        pages = [cell_packet(run, key, channel, at, page=page).header for page in range(cell["pages"])]
        groups = [group for page in pages for group in page["groups"]]
        sums_run_to_the_number(pages)
        for group in groups:
            assert group["sum"] == pytest.approx(sum(term["product"] for term in group["terms"]), abs=1e-6)
        if cell["kind"] == "products":
            total = sum(group["sum"] for group in groups) + (cell["bias"] or 0)
            assert total == pytest.approx(cell["sum"], abs=1e-6)
        terms = [
            term
            for group in groups
            for term in group["terms"]
            if term["operand"] and term["operand"]["value"] != "weight"
        ]
        assert terms, cell
        step = max(terms, key=lambda term: abs(term["product"]))["operand"]
        following = cell_packet(run, step["value"], step["c"], step["at"]).header
        assert following["number"] in [term["number"] for term in terms]
        key, channel, at = step["value"], step["c"], tuple(step["at"])
    else:
        pytest.fail("no pixel was reached")


def test_three_channels_come_first_and_the_rest_in_pages() -> None:
    network = opened(nn.Sequential(nn.Conv2d(40, 2, 3)), (40, 8, 8))
    run = run_on(network)
    first = cell_packet(run, "0", 1, (2, 2)).header
    assert len(first["groups"]) == FIRST_GROUPS
    assert first["group_count"] == 40
    sums = [abs(group["sum"]) for page in range(first["pages"])
            for group in cell_packet(run, "0", 1, (2, 2), page=page).header["groups"]]  # fmt: skip
    assert len(sums) == 40
    sums_run_to_the_number([cell_packet(run, "0", 1, (2, 2), page=page).header for page in range(first["pages"])])
    assert [group["columns"] for group in first["groups"]] == [3] * FIRST_GROUPS
    assert sums == sorted(sums, reverse=True)
    with pytest.raises(StudioError, match="no page 9"):
        cell_packet(run, "0", 1, (2, 2), page=9)


def test_a_field_is_the_walks_mask_with_its_counts() -> None:
    network = opened(NETWORKS["branches"]())
    run = run_on(network)
    packet = field_packet(run, "last", 1, (3, 4))
    y0, x0, y1, x1 = packet.header["box"]
    counts, weights = floats(packet).reshape(2, y1 - y0, x1 - x0)
    position = position_of(network, network.graph.outputs[0], 1, (3, 4))
    walk = walk_back(network.graph, network.graph.outputs[0], position)
    mask = walk.mask(network.image)
    assert np.array_equal(counts > 0, mask[y0:y1, x0:x1])
    assert packet.header["pixels"] == mask.sum()
    assert weights.sum() <= 1 + 1e-5
    gradient = field_packet(run, "last", 1, (3, 4), weights="gradient")
    assert not (floats(gradient).reshape(counts.shape[0] and (2, *counts.shape))[1][counts == 0]).any()


class ChannelsLastInside(nn.Module):
    """A convolution, a linear layer over channels in the last axis, as of ConvNeXt, and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5), nn.Conv2d(5, 2, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.mix(self.stem(images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@pytest.mark.parametrize("weights", ["share", "gradient"])
def test_a_field_on_a_value_with_channels_in_its_last_axis_lies_along_its_rows_and_columns(weights: str) -> None:
    torch.manual_seed(0)
    network = opened(ChannelsLastInside())
    packet = field_packet(run_on(network), "last", 1, (3, 4), of="mix", weights=weights)
    height, width = network.network.input_shape[1:]  # type: ignore[index]
    assert packet.header["shape"] == [5, height, width]
    assert (packet.header["box"], packet.header["pixels"]) == ([2, 3, 5, 6], 9)
    counts, numbers = floats(packet).reshape(2, 3, 3)
    assert (counts == 5).all() and (numbers != 0).all()


def test_values_beyond_the_budget_are_computed_again() -> None:
    network = opened(ResidualNet())
    whole, small = run_on(network), run_on(network, budget=20_000)
    held = [value for value in range(len(network.graph.values)) if value in small.executor._tensors]
    assert (
        sum(network.graph.values[value].spec.bytes for value in held if network.graph.values[value].producer) < 60_000
    )
    for layer in network.names.layers:
        assert torch.equal(whole.tensor(layer.output), small.tensor(layer.output))


def test_rankings_and_pages() -> None:
    run = run_on(opened(ResidualNet()))
    energy = maps_packet(run, "blocks.1.conv1", order="energy", size=4)
    assert energy.header["measures"] == sorted(energy.header["measures"], reverse=True)
    assert energy.header["pages"] == 2
    assert len(energy.header["channels"]) == 4
    last = maps_packet(run, "blocks.1.conv1", order="energy", size=4, page=1)
    assert sorted(energy.header["channels"] + last.header["channels"]) == list(range(6))
    for order in ("gradient", "contribution"):
        found = maps_packet(run, "blocks.1.conv1", order=order, target=2)
        strengths = np.abs(found.header["measures"])
        assert (np.diff(strengths) <= 1e-6).all()
    with pytest.raises(StudioError, match="no page 2"):
        maps_packet(run, "blocks.1.conv1", page=2, size=4)
    with pytest.raises(StudioError, match="none of index"):
        maps_packet(run, "stem", order="beauty")


def test_what_is_not_finite_is_drawn_at_the_ends() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.clone()
            x[0, 0, 0, :3] = torch.tensor([float("nan"), float("inf"), -float("inf")])
            return x

    run = run_on(opened(nn.Sequential(nn.Conv2d(3, 2, 1), Broken()), (3, 4, 4)))
    packet = maps_packet(run, run.opened.names.of_value(run.opened.graph.outputs[0]))
    assert not packet.header["finite"]
    assert packet.encoded()
    assert list(bytes(packet.body or b"")[:3]) == [0, 255, 0]


def test_signals_volumes_and_outputs_without_classes() -> None:
    signal = run_on(opened(nn.Sequential(nn.Conv1d(2, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(84, 4)), (2, 32)))
    assert maps_packet(signal, "0").header["shape"] == [3, 1, 28]
    assert maps_packet(signal, "3").header["kind"] == "vector"
    assert cell_packet(signal, "0", 2, (0, 5)).header["at"] == [0, 5]
    volume = run_on(opened(nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU()), (1, 8, 9, 10)))
    assert volume.prediction()["kind"] == "none"
    header = maps_packet(volume, "0", at=2).header
    assert (header["shape"], header["slices"], header["slice"]) == ([2, 7, 8], 6, 2)
    assert map_shape(volume.opened, volume.opened.graph.outputs[0]) == (2, 6, 7, 8)
    assert (
        cell_packet(volume, "0", 1, (2, 3, 4)).header["number"]
        == floats(values_packet(volume, "0", 1, (3, 4, 4, 5), 2))[0]
    )
    assert run_on(opened(NETWORKS["unet"]())).prediction()["kind"] == "none"


@pytest.mark.parametrize(("channel", "at"), [(4, (0, 0)), (0, (12, 0)), (0, (0, 99)), (0, (-1, 0)), (0, ())])
def test_a_cell_outside_is_told(channel: int, at: tuple[int, ...]) -> None:
    run = run_on(opened(ResidualNet()))
    with pytest.raises(GeometryError):
        cell_packet(run, "stem", channel, at)
    with pytest.raises(GeometryError):
        field_packet(run, "stem", channel, at)


def test_work_can_be_stopped_between_operations() -> None:
    network = opened(ResidualNet())
    run = ImageRun("r1", network, "noise", "noise", NetworkInput(torch.zeros(1, 3, 24, 24)), network.replays)
    asked = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise StudioError("stopped", "stopped")

    with pytest.raises(ConvscopeError, match="stopped"):
        run.compute(budget=2**30, check=check)
    assert len(asked) == 3
    run.compute(budget=2**30)
    assert run.scores is not None
