"""What a network learned: which images are shown, that it is left as it is, and that what is ready survives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.data.preprocessing import Normalization
from convscope.data.records import SEVERAL, ImageSet
from convscope.errors import ArgumentError, CaptureError, DataError
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.learned.examples import explained_images
from convscope.interpret.learned.in_training import learned_in_training, seconds_allowed
from convscope.interpret.learned.learned import learned_of
from convscope.interpret.learned.network_on_data import NetworkOnData
from convscope.interpret.learned.parts import PARTS, PartOptions, find_parts
from convscope.interpret.learned.training_norms import NormsOfRun, TrainingNorms
from convscope.interpret.opened_run import opened_run
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.runs.layer_norms import NormSample
from convscope.scoring.objective import Objective
from look_state import state_of

PLAIN = Normalization((0.0,), (1.0,))
NAMES = ("one", "two", "three")


def network() -> nn.Sequential:
    """Return a network whose rectifiers write in place, in training mode."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(48, 3),
    )  # fmt: skip


def images(count: int = 30, side: int = 8) -> ImageSet:
    """Return images of noise in three classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 1), np.uint8)
    return ImageSet(pixels, np.arange(count) % 3, [f"{i}.png" for i in range(count)])


def given(model: nn.Module, data: ImageSet | None = None) -> NetworkOnData:
    """Return a network on images."""
    found = images() if data is None else data
    return NetworkOnData(
        network=model, name="net", data="noise, test", split="test", images=found, normalization=PLAIN, classes=NAMES,
        train=found,
    )  # fmt: skip


def test_every_part_is_measured_and_the_network_is_left_as_it_is() -> None:
    model = network()
    before = state_of(model)
    found = learned_of(given(model), find_parts(every=True), PartOptions())
    assert state_of(model) == before
    assert [*found.parts, "norms"] == sorted(PARTS, key=lambda name: (name == "norms", [*PARTS].index(name)))
    assert found.left_out == ("norms left out: net is no run, so no norms were measured while it was trained",)
    assert found.probes is not None and found.probes.probes is not None
    page = found.to_html()
    places = [page.index(f"<h2>{PARTS[name].title}</h2>") for name in found.parts]
    assert places == sorted(places) and set(found.results()) > set(found.parts)


def test_quick_parts_are_the_default_and_others_are_asked_for_by_name() -> None:
    assert [part.name for part in find_parts()] == [
        "filters", "examples", "patches", "confusions", "calibration", "health", "norms", "consistency",
    ]  # fmt: skip
    assert [part.name for part in find_parts(["knock-out", "filters"])] == ["filters", "knock-out"]
    assert "similarity" in [part.name for part in find_parts(with_other=True)]
    with pytest.raises(ArgumentError, match=r"no part 'robustnes' .* Did you mean robustness\?"):
        find_parts(["robustnes"])


def test_a_part_takes_at_most_the_images_that_it_is_given() -> None:
    found = learned_of(given(network()), find_parts(["health", "robustness"]), PartOptions(images=10))
    assert found.health is not None and found.robustness is not None
    assert found.health.images == found.robustness.images == 10 and found.health.data == "noise, test (30 in all)"


@pytest.mark.parametrize("asked", [["health", "patches"], ["examples", "health"]])
def test_an_interrupt_keeps_what_is_ready(asked: list[str]) -> None:
    """Patches and health return what they have by then, examples nothing: no part begins after it either way."""

    def interrupt(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    found = learned_of(given(network()), find_parts(["filters", *asked]), PartOptions(), progress=interrupt)
    first = [] if asked[0] == "examples" else ["patches"]
    assert found.interrupted and list(found.parts) == ["filters", *first]
    assert found.missing == (("examples", "health") if asked[0] == "examples" else ("health",))
    assert f"Not measured: {', '.join(found.missing)}." in str(found)
    assert "Interrupted" in found.to_html()


def test_no_part_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="CKA needs at least 4"):
        learned_of(given(network(), images(2)), find_parts(["similarity"]), PartOptions())
    with pytest.raises(CaptureError, match="nowhere"):
        learned_of(given(network()), find_parts(["filters"]), PartOptions(layer="nowhere"))
    with pytest.raises(CaptureError, match=r"lenet5 is no run, so it has no images: give .*learned\('lenet5', data="):
        convscope.learned("lenet5")


def test_shown_images_are_evenly_spaced_and_their_maps_are_grad_cams() -> None:
    model, data = network().eval(), images()
    replays = Replays(model, name="net")
    scores = np.eye(3)[np.where(np.arange(30) < 12, data.labels, (data.labels + 1) % 3)]
    found = explained_images(replays, data, PLAIN, scores, each=3, classes=NAMES)
    assert [image.row for image in found.images] == [0, 5, 11, 12, 20, 29] and found.right == 12
    assert [image.right for image in found.images] == [True] * 3 + [False] * 3 and found.method == "Grad-CAM"
    one = found.images[4]
    tensor = torch.from_numpy(data.images[20][None, None, ..., 0] / 255).float()
    alone = attribute(Subject(network=model, name="net", image_name="", tensor=tensor), target=one.predicted)
    np.testing.assert_allclose(one.attribution.map, alone.map, rtol=1e-5, atol=1e-9)
    assert (found.scale.low, found.scale.high) == (0.0, 1.0)
    assert (one.labels, one.attribution.class_name) == (("three",), "one") and "true: three" in found.svg


def test_images_whose_scores_are_not_finite_are_not_explained() -> None:
    scores = np.eye(3)[np.arange(30) % 2]
    scores[[2, 5]] = np.nan
    found = explained_images(Replays(network().eval()), images(), PLAIN, scores, each=40)
    assert found.right == 10 and not {2, 5} & {image.row for image in found.images} and len(found.images) == 28
    with pytest.raises(CaptureError, match="gives finite scores of no image"):
        explained_images(Replays(network().eval()), images(), PLAIN, np.full((30, 3), np.nan))


def test_a_network_without_a_map_has_gradients_and_says_so() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    found = explained_images(Replays(model), images(), PLAIN, np.eye(3)[images().labels])
    assert found.method == "Gradient" and "no layer has a map for Grad-CAM" in str(found)
    assert "none of the images is wrong" in str(found)


def test_of_several_labels_an_image_is_right_where_all_are() -> None:
    data = images(4)
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], np.uint8)
    several = replace(data, labels=np.full(4, SEVERAL), targets=targets)
    scores = np.where([[1, 0, 0], [1, 0, 0], [0, 0, 0], [np.nan, 0, 1]], 5.0, -5.0)
    scores[3, 0] = np.nan
    found = explained_images(
        Replays(network().eval()), several, PLAIN, scores, objective=Objective(loss="multi-label"), classes=NAMES
    )
    assert [(image.row, image.labels) for image in found.images if image.right] == [(0, ("one",)), (2, ())]
    assert found.right == 2 and found.predicted == 4


def test_images_without_the_networks_labels_are_neither_right_nor_wrong() -> None:
    data = replace(images(), labels=np.full(30, -1))
    found = explained_images(Replays(network().eval()), data, PLAIN, np.eye(3)[images().labels], each=2)
    assert found.right is None and {image.right for image in found.images} == {None} and len(found.images) == 4
    assert "true: unknown" in found.svg and "right  " not in str(found)


def test_a_report_takes_its_time_and_no_more() -> None:
    ticks: Iterator[float] = iter(np.arange(0, 1000, 0.5))
    found = learned_in_training(
        network(), images(), PLAIN, np.eye(3)[images().labels], allowed=2.0, clock=lambda: next(ticks)
    )
    assert found.examples is not None and 1 <= len(found.examples.images) < 4 and found.examples.stopped
    assert found.health is None or found.health.images < 30
    none = learned_in_training(network(), images(), PLAIN, np.eye(3)[images().labels], allowed=0.0)
    assert none.examples is None and none.left_out == ("no time was left for it",)
    assert seconds_allowed(0.0, left=-5.0) == 0.0


def test_what_fails_is_left_out_of_a_report() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("it fails")

    found = learned_in_training(Broken(), images(), PLAIN, np.eye(3)[images().labels], allowed=60)
    assert found.examples is None and found.health is None and len(found.left_out) == 2
    assert all("it fails" in text for text in found.left_out)


def test_gradients_that_vanish_are_named() -> None:
    def sample(step: int, first: float) -> NormSample:
        norms = {"first": first, "last": 1.0}
        return NormSample(step=step, epoch=step / 10, outputs=norms, gradients=norms)

    runs = [NormsOfRun(name=name, samples=tuple(sample(step, first) for step in (0, 20)))
            for name, first in (("sigmoid", 1e-5), ("relu", 0.5))]  # fmt: skip
    found = TrainingNorms(runs=tuple(runs))
    assert runs[0].gradient_ratio == pytest.approx(1e5) and runs[1].gradient_ratio == pytest.approx(2)
    assert list(found.remarks()) == [
        "sigmoid: gradients are 100,000 times smaller in the first layer than in the last: its first layers hardly "
        "learn"
    ]
    assert found.svg.count("log10 of the root mean square") >= 4


def test_a_network_that_does_not_say_its_input_is_measured_on_images_of_a_size_that_is_given() -> None:
    model, data = network(), images()
    pixels = (np.asarray(data.images), data.labels)
    with pytest.raises(CaptureError, match="input shape of the model is unknown: give it, such as input_shape="):
        convscope.learned(model, pixels, parts=["health"])
    found = convscope.learned(model, pixels, parts=["health"], input_shape=(1, 8, 8))
    assert found.health is not None and found.health.images == 30
    with pytest.raises(CaptureError, match="takes 3×8, and an image has"):
        convscope.learned(model, pixels, parts=["health"], input_shape=(3, 8))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_a_network_of_another_precision_is_measured(kind: torch.dtype) -> None:
    model = network().to(kind)
    before = state_of(model)
    found = learned_of(given(model), find_parts(every=True), PartOptions())
    plain = learned_of(given(network()), find_parts(["health"]), PartOptions())
    arrays = (np.asarray(images().images), images().labels)
    assert convscope.learned(model, arrays, parts=["filters"], input_shape=(1, 8, 8)).filters is not None
    assert state_of(model) == before and found.health is not None and plain.health is not None
    assert [one for one in found.left_out if not one.startswith("norms")] == []
    assert found.health.layers[0].dead_share == pytest.approx(plain.health.layers[0].dead_share, abs=0.05)


class OneAtATime(nn.Module):
    """A network whose forward pass fixes the size of the batch unless it is 0, as files that were exported so do."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.rows = nn.Conv2d(1, 4, 3), nn.Linear(144, 3), rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(torch.relu_(self.conv(x)).reshape(self.rows or len(x), -1))
        return y


def test_a_network_that_takes_one_image_at_a_time_has_every_part() -> None:
    names = ["patches", "confusions", "health", "knock-out", "probes", "equivariance", "similarity"]
    found, twin = (
        learned_of(given(OneAtATime(rows)), find_parts(names), PartOptions(images=12)).to_dict() for rows in (1, 0)
    )
    assert found["left_out"] == [] and found["patches"]["layers"][0]["rows"] == twin["patches"]["layers"][0]["rows"]
    assert found["confusions"]["confusion"] == twin["confusions"]["confusion"]
    for part in ("health", "similarity", "knock_out", "probes"):
        assert numbers_in(found[part]) == pytest.approx(numbers_in(twin[part]), rel=1e-4, abs=1e-5)
    assert numbers_in(found["equivariance"]) == pytest.approx(numbers_in(twin["equivariance"]), rel=1e-6, abs=1e-9)
    of_pairs = [numbers_in([pair["margin"] for pair in each["confusions"]["pairs"]]) for each in (found, twin)]
    assert of_pairs[0] == pytest.approx(of_pairs[1], rel=1e-4)


def numbers_in(found: object) -> list[float]:
    """Return all numbers of a record of JSON's types, in its order."""
    if isinstance(found, dict | list):
        return [
            number for each in (found.values() if isinstance(found, dict) else found) for number in numbers_in(each)
        ]
    return [float(found)] if isinstance(found, int | float) else []


def test_a_network_whose_scores_are_not_finite_is_one_line() -> None:
    model = network()
    with torch.no_grad():
        model[3].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(CaptureError, match=r"net gives NaN: its 3.weight holds NaN"):
        learned_of(given(model), find_parts(), PartOptions())


class OfFrames(nn.Module):
    """A network that takes each channel of an image for an image of its own, as one of frames does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = torch.relu(self.conv(x.flatten(0, 1)[:, None])).mean((2, 3))
        y: torch.Tensor = self.head(frames.unflatten(0, x.shape[:2]).mean(1))
        return y


def test_maps_that_are_not_by_image_are_left_out_of_what_is_measured_by_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    data = ImageSet(pixels, np.arange(12) % 3, [f"{i}.png" for i in range(12)])
    on = replace(given(OfFrames(), data), normalization=Normalization((0.0,) * 3, (1.0,) * 3))
    found = learned_of(on, find_parts(["patches", "health", "similarity", "probes", "equivariance"]), PartOptions())
    assert found.patches is not None and found.patches.layers == ("head",)
    assert found.similarity is not None and found.similarity.rows == ("head",)
    assert found.health is not None and found.health.layers[0].units == 4
    assert [text.partition(" left out")[0] for text in found.left_out] == ["probes", "equivariance"]
    with pytest.raises(CaptureError, match="conv has 3 along its first axis for one image"):
        learned_of(on, find_parts(["patches"]), PartOptions(layer="conv"))


class Drawing(nn.Module):
    """A network that draws at random in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(nn.functional.dropout(x, training=True))
        return found


def test_a_network_that_draws_leaves_the_generators_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = images(6), Drawing()
    before = torch.get_rng_state()
    convscope.learned(model, (data.images, data.labels), parts=["health"], input_shape=(1, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr("convscope.interpret.opened_run.own_images", lambda *_, **__: ("test", data))
    with opened_run("lenet5-digits", None, False) as run:
        torch.rand(len(run.images))
    assert torch.equal(torch.get_rng_state(), before)


class OfTwo(nn.Module):
    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (image * mask).mean((2, 3))


def test_a_network_of_several_inputs_is_refused_in_one_line() -> None:
    data = images(6)
    said = r"OfTwo takes 2 inputs \(image, mask\), and an image is one: wrap it in a module"
    with pytest.raises(CaptureError, match=said):
        convscope.learned(OfTwo(), (data.images, data.labels), input_shape=(1, 8, 8))
    with pytest.raises(CaptureError, match=said):
        convscope.look(OfTwo(), data.images[0])


def test_a_network_whose_hook_gives_the_other_input_takes_one() -> None:
    model = OfTwo()
    model.register_forward_pre_hook(lambda module, given: (given[0], torch.ones_like(given[0])))
    pixels = images(1).images[0].transpose(2, 0, 1).astype(np.float32)
    found = convscope.look(model, pixels, input_shape=(1, 8, 8), methods=["gradient"], checks=False)
    assert found.attributions[0].method == "gradient"


def test_what_needs_labels_is_left_out_where_the_classes_are_others() -> None:
    model, data = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), images()
    pixels = (np.asarray(data.images), data.labels)
    found = convscope.learned(model, pixels, parts=["filters"], input_shape=(1, 8, 8))
    said = "the images have 3 classes (0, 1, 2), and the network 1 other: what needs labels is left out"
    assert found.notes == (said,)
