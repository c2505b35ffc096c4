"""A look: every part from one run of a network that is left as it is; what is ready survives an interrupt."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.data.preprocessing import Preprocessing
from convscope.errors import ConvscopeError, DataError
from convscope.interpret.look.look import look_at
from convscope.interpret.look.options import LookOptions
from convscope.interpret.look.overview import overview_figure
from convscope.interpret.look.prediction import image_prediction
from convscope.interpret.subject import Subject, subject
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictor import Predictor
from look_state import state_of

IMAGE = np.random.default_rng(0).normal(size=(1, 12, 12)).astype(np.float32)


def network() -> nn.Sequential:
    """Return a network whose rectifiers write in place."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(192, 5),
    )  # fmt: skip


def test_a_look_leaves_the_network_as_it_is() -> None:
    model = network().train()
    before = state_of(model)
    found = convscope.look(model, IMAGE, fields=False)
    assert state_of(model) == before
    assert [each.method for each in found.attributions] == [
        "grad-cam", "hires-cam", "integrated-gradients", "occlusion", "guided-backprop",
    ]  # fmt: skip
    assert len(found.checks) == 5 and found.left_out == () and not found.interrupted
    assert set(found.results()) >= {"overview", "checks occlusion", "feature maps 2", "filters 0"}


def test_the_prediction_is_the_networks_own() -> None:
    model = network().eval()
    found = convscope.look(model, IMAGE, methods=["gradient"], checks=False)
    expected = torch.softmax(model(torch.from_numpy(IMAGE)[None]).detach()[0].double(), 0).numpy()
    np.testing.assert_allclose(found.prediction.shares, expected, rtol=1e-6)
    assert found.target == int(expected.argmax())


@pytest.mark.parametrize("wrap", ["compiled", "bfloat16", "frozen", "channels last"])
def test_a_look_takes_a_network_in_any_form(wrap: str) -> None:
    model: nn.Module = network().eval()
    if wrap == "compiled":
        model = torch.compile(model, backend="eager")  # type: ignore[assignment]
    elif wrap == "bfloat16":
        model = model.bfloat16()
    elif wrap == "frozen":
        model.requires_grad_(False)
    else:
        model = model.to(memory_format=torch.channels_last)
    found = convscope.look(model, IMAGE, methods=["grad-cam"], checks=False)
    plain = convscope.look(network().eval(), IMAGE, methods=["grad-cam"], checks=False, target=found.target)
    tolerance = 0.05 if wrap == "bfloat16" else 1e-6
    scale = np.abs(plain.attributions[0].cells).max()
    np.testing.assert_allclose(found.attributions[0].cells, plain.attributions[0].cells, atol=tolerance * scale)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_every_part_takes_a_network_of_half_precision_that_pads_by_itself(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    padding = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
    model = nn.Sequential(padding, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 3, padding=1), nn.Flatten())
    model.append(nn.Linear(108, 5)).to(kind)
    before = state_of(model)
    found = convscope.look(
        model, (IMAGE[0] > 0).astype(np.uint8) * 255, input_shape=(1, 12, 12), fields=True, equivariance=True,
        robustness=True, visualize="1:0",
    )  # fmt: skip
    assert found.left_out == () and state_of(model) == before
    assert found.equivariance is not None and found.visualization is not None and found.fields is not None


def test_the_verdict_above_each_map_is_whole() -> None:
    found = convscope.look(network(), IMAGE, methods=["grad-cam", "gradient"], checks=False)
    checks: Any = SimpleNamespace(verdict="fails random weights, deletion and insertion")
    drawn = overview_figure([(one, checks) for one in found.attributions], None, title="two")
    assert drawn is not None
    markup = drawn.markup()
    assert markup.count("fails random weights,</text>") == markup.count("deletion and insertion</text>") == 2


def test_an_interrupt_keeps_what_is_ready() -> None:
    heard = []

    def interrupt(part: object) -> None:
        heard.append(type(part).__name__)
        if len(heard) == 5:
            raise KeyboardInterrupt

    found = convscope.look(network(), IMAGE, on_part=interrupt)
    assert heard == ["Prediction", "LayerFilters", "FeatureMaps", "ChannelsAt", "Attribution"]
    assert found.interrupted and len(found.attributions) == 1 and found.checks == ()
    assert found.missing == ("hires-cam", "integrated-gradients", "occlusion", "guided-backprop", "checks")
    assert "Not measured: hires-cam, integrated-gradients" in str(found) and "Grad-CAM" in found.to_html()
    assert found.to_dict()["missing"][-1] == "checks"


def test_an_interrupt_that_a_part_takes_for_its_own_end_ends_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def shift(*_: object, **__: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise DataError("nothing was shifted")

    monkeypatch.setattr("convscope.interpret.look.parts.subject_equivariance", shift)
    found = convscope.look(network(), IMAGE, methods=["gradient"], checks=False, equivariance=True, fields=True)
    assert found.interrupted and found.missing == ("effective fields",)
    assert found.left_out == ("equivariance left out: nothing was shifted",)


def test_an_interrupt_inside_occlusion_ends_the_look_with_the_map_that_there_is() -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if what == "occlusion" and 60 <= done < total:
            raise KeyboardInterrupt

    tensor = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    pool = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    given = Subject(network=pool, name="small", image_name="noise", tensor=tensor)
    options = LookOptions(methods=("grad-cam", "occlusion", "gradient"))
    found = look_at(given, options, progress=interrupt)
    assert [one.method for one in found.attributions] == ["grad-cam", "occlusion"]
    assert found.interrupted and found.attributions[1].interrupted and found.checks == ()
    assert found.missing == ("gradient", "checks")
    assert "interrupted after" in found.to_html()


def test_a_page_of_a_network_without_a_picture_has_its_numbers() -> None:
    wave = np.linspace(-1, 1, 40, dtype=np.float32)[None]
    model = nn.Sequential(nn.Conv1d(1, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(108, 2))
    found = convscope.look(model, wave, methods=["grad-cam", "gradient"])
    assert found.picture is None and len(found.checks) == 2
    assert "What the score depends on" in found.to_html() and "Grad-CAM" in str(found)


def test_grad_cam_is_of_the_layer_that_made_the_last_map() -> None:
    """Pooling to one position is captured with a squeeze before it, which makes no map of its own."""
    wave = np.linspace(-1, 1, 40, dtype=np.float32)[None]
    model = nn.Sequential(nn.Conv1d(1, 3, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 2))
    found = convscope.look(model, wave, methods=["grad-cam"], checks=False)
    assert found.attributions[0].layer == "1" and found.channels is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_asked_for_is_there_in_any_type(dtype: torch.dtype) -> None:
    image = np.random.default_rng(1).integers(0, 256, (12, 12), dtype=np.uint8)
    model = network().eval().to(dtype)
    asked = LookOptions(methods=(), robustness=True, equivariance=True, visualize="2:1", at=(3, 4))
    found = look_at(subject(model, image), asked)
    assert found.left_out == () and found.channels is not None and found.channels.position == (3, 4)
    assert found.robustness is not None and len(found.robustness.smallest) == 5 and found.equivariance is not None
    seen = found.visualization
    assert seen is not None and seen.channels == (1,) and seen.own is not None and seen.data == "the input alone"
    assert seen.own[0] == pytest.approx(seen.largest[0], rel=0.05)
    assert {"robustness", "equivariance", "visualization 2", "channels 2"} <= set(found.results())


def test_an_interrupt_inside_a_part_keeps_it_and_ends_the_look() -> None:
    image = np.random.default_rng(1).integers(0, 256, (12, 12), dtype=np.uint8)

    def stop(done: int, total: int, what: str) -> None:
        if what == "shifting the image":
            raise KeyboardInterrupt

    asked = LookOptions(methods=(), equivariance=True, visualize="2:1")
    found = look_at(subject(network().eval(), image), asked, progress=stop)
    assert found.interrupted and found.equivariance is not None and found.visualization is None
    assert found.missing == ("visualization",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"page": 2}, "there is no page 2 of feature maps: the 4 channels of 2 fill 1 page of 8"),
        ({"layer": "3", "page": 3, "maps": 2}, "the 3 channels of 3 fill 2 pages of 2"),
        ({"methods": ["gradient", "captum:NoSuch"]}, r"captum:NoSuch at the input\. The nearest: captum:"),
        ({"target": 5}, "no class 5"),
        ({"at": (10, 0)}, "10,0 is outside"),
        ({"visualize": "2:4"}, "4 is none of them"),
        ({"layer": "9"}, "no layer '9'"),
    ],
)
def test_what_is_not_there_is_refused_before_any_part_is_computed(asked: dict[str, Any], message: str) -> None:
    shown: list[object] = []
    with pytest.raises(ConvscopeError, match=message):
        convscope.look(network(), IMAGE, on_part=shown.append, **asked)
    assert shown == []


def test_which_of_several_outputs_is_explained_is_said() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.other = nn.Linear(144, 3), nn.Linear(144, 2)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            main = self.main(x.flatten(1))
            return main.sum(), self.other(x.flatten(1)), main

    found = convscope.look(Two(), IMAGE, methods=["gradient"], checks=False)
    assert found.notes[-1] == "the network has 3 outputs, of one number, 1×2, 1×3: number 2 is explained"
    assert len(found.prediction.shares) == 2


def test_several_labels_are_said() -> None:
    prepared = replace(Preprocessing.default((1, 32, 32)), classes=tuple("abcdefghij"))
    spec = ModelSpec(name="lenet5", options={}, preprocessing=prepared, loss="multi-label")
    given = subject(Predictor(spec.build(), spec), np.zeros((32, 32), np.uint8))
    found = image_prediction(given)
    assert found.multi_label and len(found.labels) == int((found.shares >= 0.5).sum())
    looked = look_at(given, LookOptions(methods=("gradient",), checks=False))
    assert len(found.labels) == 1 or looked.notes[-1].endswith(f"{looked.class_name}, is explained")


def test_fields_are_measured_where_they_are_asked_for() -> None:
    given = Subject(network=network().eval(), name="small", image_name="noise", tensor=torch.from_numpy(IMAGE)[None])
    found = look_at(given, LookOptions(methods=(), fields=True))
    assert found.fields is not None and found.fields.network == "small" and found.attributions == ()
    assert "Effective fields" in found.to_html()


@pytest.mark.parametrize(
    ("end", "outputs"),
    [
        (nn.Softmax(1), 5),
        (nn.Sequential(nn.Unflatten(1, (5, 1, 1)), nn.Softmax(-3), nn.Flatten()), 5),
        (nn.Sigmoid(), 5),
        (nn.Sigmoid(), 1),
        (nn.Sequential(nn.Sigmoid(), nn.Flatten(0)), 1),
    ],
)
def test_the_probabilities_of_a_network_that_ends_in_them_are_its_outputs(end: nn.Module, outputs: int) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, outputs), end
    model = nn.Sequential(*layers)
    with torch.no_grad():
        model[3].weight.mul_(20)
        expected = model(torch.from_numpy(IMAGE)[None]).reshape(outputs).double().numpy()
    found = convscope.look(model, IMAGE, methods=["occlusion"])
    np.testing.assert_allclose(found.prediction.shares, expected, atol=1e-6)
    (checks,) = found.checks
    assert checks.perturbation is not None
    assert checks.perturbation.own.deletion[0] == pytest.approx(expected.max(), abs=1e-6)


def test_the_probability_of_a_single_output_is_its_sigmoid() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 1))
    found = convscope.look(model, IMAGE, methods=["occlusion"])
    expected = float(torch.sigmoid(model(torch.from_numpy(IMAGE)[None]).detach().double()))
    assert found.prediction.shares.tolist() == pytest.approx([expected])
    perturbation = found.checks[0].perturbation
    assert perturbation is not None and perturbation.own.deletion[0] == pytest.approx(expected)


class OfBytes(nn.Module):
    """A network of pixel values, as a file may declare them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = network()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels.float() / 255)


def test_pixels_of_a_network_of_bytes_are_removed_by_the_blurred_image() -> None:
    pixels = torch.full((1, 1, 12, 12), 200, dtype=torch.uint8)
    given = Subject(network=OfBytes().eval(), name="net", image_name="grey", tensor=pixels)
    found = look_at(given, LookOptions(methods=("occlusion",)))
    perturbation = found.checks[0].perturbation
    assert perturbation is not None
    np.testing.assert_allclose(perturbation.own.deletion, perturbation.own.deletion[0])  # a blurred constant is itself


class OneAtATime(nn.Module):
    """A network whose forward pass fixes the size of the batch unless it is 0, as files that were exported so do."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.rows = nn.Conv2d(1, 4, 3), nn.Linear(400, 5), rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(torch.relu(self.conv(x)).reshape(self.rows or len(x), -1))
        return y


def test_a_network_that_takes_one_image_at_a_time_has_every_part() -> None:
    methods = ["grad-cam", "integrated-gradients", "occlusion"]
    image = np.random.default_rng(1).integers(0, 256, (12, 12), dtype=np.uint8)
    found, twin = (
        convscope.look(
            OneAtATime(rows), image, methods=methods, ranking="contribution", robustness=True, equivariance=True
        )
        for rows in (1, 0)
    )
    assert found.left_out == () and len(found.checks) == 3 and found.robustness is not None
    assert found.equivariance is not None and twin.equivariance is not None
    assert [layer.inside for layer in found.equivariance.layers] == pytest.approx(
        [layer.inside for layer in twin.equivariance.layers], rel=1e-9
    )
    assert twin.maps is not None and found.maps is not None
    for mine, other in zip(found.attributions, twin.attributions, strict=True):
        np.testing.assert_allclose(mine.map, other.map, atol=1e-6)
    np.testing.assert_allclose(found.maps.measures, twin.maps.measures, atol=1e-6)
    assert [one.perturbation.own.deletion.round(5).tolist() for one in found.checks if one.perturbation] == [
        one.perturbation.own.deletion.round(5).tolist() for one in twin.checks if one.perturbation
    ]


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_pictures_are_made_for_a_network_of_another_precision(kind: torch.dtype) -> None:
    image = np.random.default_rng(1).integers(0, 256, (12, 12), dtype=np.uint8)
    found = convscope.look(OneAtATime(0).to(kind), image, methods=[], visualize="conv:1")
    assert found.left_out == () and found.visualization is not None
