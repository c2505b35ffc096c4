"""Networks side by side on one image: one scale, channels that go together, epochs of a run, similarity of layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.errors import ArgumentError, CaptureError, GeometryError
from convscope.interpret.look.compare_looks import _correlations, compare_looks, compare_subjects
from convscope.interpret.look.options import LookOptions
from convscope.interpret.subject import Subject
from convscope.runs.checkpoint import read_checkpoint, saved_checkpoints
from look_state import state_of

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(600, 5)).eval()


def test_a_network_with_its_channels_in_another_order_is_paired_with_itself() -> None:
    one, two = network(), network()
    order = [3, 1, 5, 0, 2, 4]
    with torch.no_grad():
        two[0].weight.copy_(one[0].weight[order])
        two[0].bias.copy_(one[0].bias[order])
        two[3].weight.copy_(one[3].weight.view(5, 6, 100)[:, order].reshape(5, 600))
    before = state_of(one), state_of(two)
    found = compare_looks(one, two, image=IMAGE, maps=4)
    assert (state_of(one), state_of(two)) == before
    first, second = found.networks
    assert found.pairing == "correlation" and [order[channel] for channel in second.channels] == list(first.channels)
    np.testing.assert_allclose(second.correlations, 1, atol=1e-6)
    alike = found.rank_correlations("grad-cam")
    assert alike[0] == pytest.approx(1) and alike[1] == pytest.approx(1)
    assert [one.name for one in found.networks] == ["Sequential", "Sequential (2)"]
    assert "similarity of layers left out" in found.left_out[0]


def test_a_pair_is_a_model_with_its_input_shape() -> None:
    larger = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 14 * 14, 5))
    found = compare_looks((network(), (1, 12, 12)), (larger, (1, 16, 16)), image=IMAGE, maps=4)
    assert [one.maps.maps.shape for one in found.networks] == [(6, 10, 10), (6, 14, 14)]
    with pytest.raises(ArgumentError, match="models is a tuple"):
        compare_looks(network(), (larger, 1, 16), image=IMAGE)  # type: ignore[arg-type]


def test_each_channel_is_taken_once_as_long_as_there_are_any() -> None:
    found = compare_looks(network(), network(1), image=IMAGE, maps=6)
    assert sorted(found.networks[1].channels) == list(range(6))
    few = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 5))
    assert len(compare_looks(network(), few, image=IMAGE, maps=6).networks[1].channels) == 6


def test_what_is_compared_has_one_scale() -> None:
    one, two = network(), network()
    with torch.no_grad():
        two[0].weight.mul_(100)
        two[0].bias.mul_(100)
    found = compare_looks(one, two, image=IMAGE, methods=["grad-cam", "occlusion"])
    page = found.to_html()
    assert "one scale for all networks" in page and "Occlusion" in page and "<script" not in page
    largest = max(float(np.max(each.maps.maps)) for each in found.networks if each.maps is not None)
    assert found._map_scale().high == pytest.approx(largest)


def test_networks_of_other_sizes_and_classes_are_compared() -> None:
    other = nn.Sequential(nn.Conv2d(1, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(192, 9))
    found = compare_looks(network(), other, image=IMAGE, target=2)
    assert found.pairing == "rank" and np.isnan(found.networks[1].correlations).all()
    assert [each.class_name for each in found.networks] == ["class 2", "class 2"]
    with pytest.raises(GeometryError, match="has no class 7"):
        compare_looks(other, network(), image=IMAGE, target=7)
    with pytest.raises(CaptureError, match="nolayer"):
        compare_looks(network(), other, image=IMAGE, layer="nolayer")
    with pytest.raises(ArgumentError, match="two models or more"):
        compare_looks(network(), image=IMAGE)


def test_units_without_positions_are_compared_by_number() -> None:
    linear = [nn.Sequential(nn.Flatten(), nn.Linear(144, 5)) for _ in range(2)]
    found = compare_looks(*linear, image=IMAGE, methods=["gradient"])
    assert found.networks[0].channels == found.networks[1].channels and found.to_html()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    recipe = convscope.Recipe(model="lenet5", epochs=2, autotune="rules")
    trained = convscope.train("digits", recipe, name="run", runs_directory=folder, cache_directory=folder / "cache")
    return trained.run.path


def test_an_epoch_of_a_run_is_compared_with_the_run(run: Path, tmp_path: Path) -> None:
    checkpoint = saved_checkpoints(run / "checkpoint")[-1]
    found = compare_looks(run, checkpoint, image="digits/7", maps=3)
    assert [each.name for each in found.networks] == ["run", "run (epoch 2)"]
    assert found.pairing == "number" and found.networks[1].channels == found.networks[0].channels
    (similarity,) = found.similarities
    assert similarity.images == 179 and similarity.data == "digits, test"
    written = {path.name for path in found.save(tmp_path / "saved")}
    assert {"look.html", "comparison.svg", "similarity-2.npy", "2-run-epoch-2-grad-cam.png"} <= written


def test_layers_are_compared_on_images_from_all_of_a_run_and_of_each_networks_size(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.interpret.look.compare_looks.IMAGES", 60)
    of_any_size = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))
    pairs = [(of_any_size, (1, side, side)) for side in (32, 16)]
    found = compare_looks(run, *pairs, image="digits/7", maps=3, methods=[])
    (similarity,) = found.similarities  # a set may be sorted by class: the first 60 may be of one alone
    assert similarity.images == 60 and similarity.data == "digits, test (179 in all)"
    assert any("Sequential (2) takes images of 1×16×16" in text for text in found.left_out)


def test_a_checkpoint_is_a_model_with_the_weights_of_its_epoch(run: Path) -> None:
    checkpoint = saved_checkpoints(run / "checkpoint")[-1]
    expected = read_checkpoint(checkpoint).measured
    from convscope.capture.load import load

    built = load(str(checkpoint)).build().state_dict()
    assert all(torch.equal(built[name], tensor) for name, tensor in expected.items())


def test_a_class_of_the_first_network_is_found_by_its_name_in_the_others() -> None:
    image = torch.randn(1, 1, 12, 12)
    one = Subject(network=network(), name="one", image_name="image", tensor=image, classes=tuple("12345"))
    reversed_names = replace(one, name="two", classes=tuple("54321"))
    found = compare_subjects([one, reversed_names], LookOptions(target="2"))
    assert [each.target for each in found.networks] == [1, 3]
    assert [each.class_name for each in found.networks] == ["2", "2"]
    with pytest.raises(GeometryError, match="three has no class '2'"):
        compare_subjects([one, replace(one, name="three", classes=tuple("abcde"))], LookOptions(target="2"))


def test_a_constant_map_correlates_with_none() -> None:
    maps = np.stack([np.full((7, 9), 0.1), np.full((7, 9), 0.7), np.arange(63.0).reshape(7, 9)])
    found = _correlations(maps, maps)
    assert np.isnan(found[:2]).all() and np.isnan(found[:, :2]).all() and found[2, 2] == pytest.approx(1)
