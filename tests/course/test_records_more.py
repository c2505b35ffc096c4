"""The numbers of chapters 5 to 8 equal torch's, or what counting gives."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from convscope.course.record import make_record, records
from convscope.course.records.shifting import POOLINGS, edges, equivariance_error, interpolated_error, picture
from convscope.course.records.step import NUDGE, digit, digits_taken_for
from convscope.course.records.trained import trained_numbers
from convscope.data.sources.digits import load_digits
from convscope.interpret.equivariance.meter import equivariance_of
from convscope.interpret.replay.replays import Replays
from convscope.nets import catalogue
from convscope.nets.blur_pool import blurred_max_pool
from convscope.reference.convolution import convolve
from convscope.reference.edges import SOBEL

MINE = (
    "shifted-picture", "shifted-predictions", "effective-fields", "gradient-norms", "history", "training-steps",
)  # fmt: skip
MOST_BYTES = 60_000
PARAMETERS = ("filters", "filter_biases", "weights", "biases")


@pytest.mark.parametrize("name", MINE)
def test_a_record_is_small(name: str) -> None:
    record = records()[name]
    assert len(list(record.combinations())) <= 40
    assert len(json.dumps(make_record(name, {}), separators=(",", ":"), allow_nan=False)) <= MOST_BYTES


def test_records_and_chapters_need_no_torch() -> None:
    code = (
        "import sys; from convscope.course.course import course_record; "
        "from convscope.course.record import make_record; "
        f"course_record(); [make_record(name, {{}}) for name in {MINE!r}]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_map_is_a_convolution_away_from_the_border() -> None:
    image = picture("star")
    inside = np.maximum(convolve(image[None, None], SOBEL[None, None])[0, 0], 0)
    np.testing.assert_allclose(edges(image)[1:-1, 1:-1], inside)


def test_pooled_maps_are_torchs() -> None:
    map_ = torch.from_numpy(edges(picture("digit")))[None, None]
    torch.testing.assert_close(
        torch.from_numpy(POOLINGS["max"](map_[0, 0].numpy())), functional.max_pool2d(map_, 2)[0, 0]
    )
    torch.testing.assert_close(
        torch.from_numpy(POOLINGS["average"](map_[0, 0].numpy())), functional.avg_pool2d(map_, 2)[0, 0]
    )
    blurred = blurred_max_pool(nn.MaxPool2d(2)).double()(map_)[0, 0].numpy()
    np.testing.assert_allclose(POOLINGS["blur"](map_[0, 0].numpy())[1:-1, 1:-1], blurred[1:-1, 1:-1])


@pytest.mark.parametrize("poolings", ["1", "2"])
@pytest.mark.parametrize("pool", list(POOLINGS))
def test_a_shift_is_looked_up_by_its_phase(pool: str, poolings: str) -> None:
    record = make_record("shifted-picture", {"picture": "cross", "poolings": poolings})
    map_, stride = edges(picture("cross")), record["stride"]
    for shift in ((0, 1), (-3, 5), (7, -2), (4, 8), (-16, 16)):
        expected = np.roll(map_, shift, (0, 1))
        for _ in range(int(poolings)):
            expected = POOLINGS[pool](expected)
        down, right = (distance % stride for distance in shift)
        cells = tuple(distance // stride for distance in shift)
        found = np.roll(np.array(record["pooled"][pool][down][right]), cells, (0, 1))
        assert np.abs(found - expected).max() <= 0.5 + 1e-9  # values are rounded to whole numbers


def test_the_error_is_the_meters() -> None:
    map_ = edges(picture("ring"))
    network = Replays(nn.Sequential(nn.MaxPool2d(2)), name="pool")
    found = equivariance_of(network, torch.from_numpy(map_)[None, None], shifts=(1, 2, 3, 4))
    for error in found.layers[0].errors:
        shift = (error.pixels, 0) if error.axis == 0 else (0, error.pixels)
        ours = equivariance_error(map_, shift, POOLINGS["max"], 2)
        if error.pixels % 2 == 0:
            assert ours == error.whole == 0
        else:  # half a cell is rounded up here; by symmetry of "nearest" either neighbour will do
            other = equivariance_error(map_, tuple(-one for one in shift), POOLINGS["max"], 2)
            assert min(abs(ours - error.whole), abs(other - error.whole)) < 0.15


def test_the_mean_of_a_map_stays_but_after_max_pooling() -> None:
    """What the text of chapter 5 says of global average pooling."""
    means = make_record("shifted-picture", {"picture": "ring", "poolings": "1"})["means"]
    for name in ("average", "blur"):
        assert np.ptp(means[name]) < 0.11, name
    assert np.ptp(means["max"]) > 5
    map_ = torch.from_numpy(edges(picture("ring")))[None, None]
    moved = functional.max_pool2d(map_.roll((1, 1), (2, 3)), 2).mean().item()
    assert means["max"][1][1] == pytest.approx(moved, abs=0.051)


def test_blurred_pooling_is_off_by_little_more_than_half_a_cell() -> None:
    map_ = edges(picture("ring"))
    apart = {name: interpolated_error(map_, pool) for name, pool in POOLINGS.items()}
    assert apart["blur"] < 0.1 < 0.25 < min(apart["max"], apart["average"])


class SmallNetwork(nn.Module):
    """The network of chapter 8 in torch."""

    def __init__(self, step: dict[str, Any]) -> None:
        super().__init__()
        self.filters, self.filter_biases, self.weights, self.biases = (
            nn.Parameter(torch.tensor(step[name], dtype=torch.float64)) for name in PARAMETERS
        )

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        values = {"map": functional.conv2d(image, self.filters[:, None], self.filter_biases)}
        values["relu"] = values["map"].relu()
        values["pooled"] = functional.max_pool2d(values["relu"], 2)
        values["scores"] = functional.linear(values["pooled"].flatten(1), self.weights, self.biases)
        return values


@pytest.mark.parametrize(("label", "rate"), [("7", "0.1"), ("3", "2")])
def test_a_training_step_is_autograds(label: str, rate: str) -> None:
    record = make_record("training-steps", {"digit": label, "rate": rate})
    for number, step in enumerate(record["steps"]):
        network = SmallNetwork(step)
        assert sum(parameter.numel() for parameter in network.parameters()) == 210
        values = network(torch.from_numpy(digit(int(label))))
        for value in values.values():
            value.retain_grad()
        loss = functional.cross_entropy(values["scores"], torch.tensor([int(label)]))
        loss.backward()
        assert loss.item() == pytest.approx(step["loss"], rel=1e-3)
        for name, value in values.items():
            np.testing.assert_allclose(step[name], value[0].detach(), rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(step[f"d_{name}"], value.grad[0], rtol=1e-2, atol=1e-4)  # type: ignore[index]
        after = record["steps"][number + 1] if number + 1 < len(record["steps"]) else record["after"]
        for name, parameter in network.named_parameters():
            np.testing.assert_allclose(step[f"d_{name}"], parameter.grad, rtol=1e-2, atol=1e-4)
            moved = parameter.detach() - float(rate) * parameter.grad  # type: ignore[operator]
            np.testing.assert_allclose(after[name], moved, rtol=1e-2, atol=1e-3)


def test_one_large_step_takes_nearly_all_digits_for_one_class() -> None:
    pixels, _ = load_digits()
    step = make_record("training-steps", {"digit": "7", "rate": "0.5"})["steps"][1]
    scores = SmallNetwork(step)(torch.from_numpy(pixels).movedim(3, 1).double() / 255)["scores"]
    assert digits_taken_for(7, 0.5) == (int((scores.argmax(1) == 7).sum()), len(pixels)) == (1797, 1797)


def test_a_nudge_measures_the_gradient() -> None:
    step = make_record("training-steps", {})["steps"][0]
    gradients = np.concatenate([np.array(step[f"d_{name}"]).reshape(-1) for name in PARAMETERS])
    measured = (np.array(step["above"]) - np.array(step["below"])) / (2 * NUDGE)
    assert len(gradients) == 210
    np.testing.assert_allclose(step["measured"], measured, rtol=1e-4, atol=1e-5)
    assert (np.abs(gradients - measured) < 1e-3).mean() > 0.95  # elsewhere a maximum or a ReLU switches


def test_the_history_is_the_catalogues() -> None:
    found = make_record("history", {})
    years = [network["year"] for network in found["networks"]]
    assert years == sorted(years) and found["first"] <= years[0] and years[-1] <= found["last"]
    for network in found["networks"]:
        assert network["parameters"] == catalogue.find(network["name"]).parameters
    shown = {network["name"] for network in found["networks"]}
    assert {one["name"] for one in found["challenge"] if one["name"]} <= shown


def test_trained_numbers_are_within_what_they_mean() -> None:
    numbers = trained_numbers()
    shifts = numbers["shifts"]
    assert len(shifts["pictures"]) == 4
    count = (2 * shifts["margin"] + 1) ** 2
    for chosen in shifts["pictures"]:
        for name in ("max", "blurred"):
            assert len(chosen["predicted"][name]) == len(chosen["percent"][name]) == count
    for layer in numbers["fields"]["layers"]:
        for kind, rows in layer["masses"].items():
            assert np.array(rows).shape == (layer["size"], layer["size"]), (layer["layer"], kind)
            assert np.max(rows) == 255
    gradients = numbers["gradients"]
    assert len(gradients["networks"]) == 12
    assert all(len(each["before"]) == gradients["layers"] for each in gradients["networks"].values())
    sigmoid, relu, tanh = (gradients["networks"][f"{name}-plain-chain"] for name in ("sigmoid", "relu", "tanh"))
    assert sigmoid["before"][-1] - sigmoid["before"][0] > 4 > relu["before"][-1] - relu["before"][0]
    # What the text of the chapter says of skip connections.
    with_skips = {name: gradients["networks"][f"{name}-plain-skip"] for name in ("sigmoid", "tanh")}
    assert with_skips["sigmoid"]["before"][0] - sigmoid["before"][0] > 4
    assert max(sigmoid["accuracy"], with_skips["sigmoid"]["accuracy"]) < 0.5
    assert with_skips["tanh"]["accuracy"] > tanh["accuracy"]
    assert relu["accuracy"] > 0.5
