"""Ours against Captum, where it is installed; and what is said where its hooks miss a part of the network."""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.errors import CaptureError
from convscope.interpret.attribution.captum_traps import traps
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.subject import Subject
from look_networks import NETWORKS
from look_state import state_of

pytestmark = pytest.mark.filterwarnings("ignore")
installed = pytest.mark.skipif(importlib.util.find_spec("captum") is None, reason="needs captum")
METHODS = ("Saliency", "InputXGradient", "DeepLift", "IntegratedGradients", "GradientShap", "DeepLiftShap", "Occlusion",
           "FeatureAblation", "Deconvolution", "GuidedBackprop")  # fmt: skip


@pytest.mark.skipif(importlib.util.find_spec("captum") is not None, reason="captum is installed")
def test_a_missing_captum_is_met_with_the_command_that_installs_it() -> None:
    with pytest.raises(CaptureError, match=r"captum is not installed: pip install 'convscope\[captum\]'"):
        attribute(NETWORKS["in-place"]().subject, "captum:Saliency")


@pytest.mark.parametrize(
    ("name", "method", "said"),
    [
        ("in-place", "GuidedBackprop", ()),
        ("functional", "GuidedBackprop", ("Captum hooks 0 of 2 rectifiers, so this is not GuidedBackprop",)),
        ("ReLU6", "GuidedBackprop", ("Captum hooks 0 of 2 rectifiers",)),
        ("GoogLeNet", "Deconvolution", ("Captum hooks 0 of 3 rectifiers, so this is not Deconvolution",)),
        ("DenseNet", "GuidedBackprop", ("Captum hooks 1 of 2 rectifiers",)),
        ("functional", "Saliency", ()),
        ("SiLU", "DeepLift", ("Captum hooks 0 of 3 nonlinear operations",)),
        ("in-place", "LRP", ("Captum hooks 4 of 5 operations that divide relevance, so this is not LRP",)),  # a mean
    ],
)
def test_what_captum_misses_is_known_beforehand(name: str, method: str, said: tuple[str, ...]) -> None:
    found = traps(method, NETWORKS[name]().subject.replay.graph)
    assert len(found) == len(said) and all(one.startswith(want) for one, want in zip(found, said, strict=True))


@pytest.mark.parametrize(("kind", "rectifiers"), [(nn.ReLU6, 1), (nn.PReLU, 1), (nn.Hardtanh, 0)])
def test_rectifiers_that_captum_misses_are_those_of_guided_backpropagation(
    kind: type[nn.Module], rectifiers: int
) -> None:
    graph = capture(nn.Sequential(nn.Conv2d(1, 2, 3), kind()), torch.zeros(1, 1, 5, 5))
    missed = ("Captum hooks 0 of 1 rectifier, so this is not GuidedBackprop; take guided-backprop",)
    assert traps("GuidedBackprop", graph) == missed * rectifiers


class Residual(nn.Module):
    """A convolution beside a branch past it, and a rectifier that is a function."""

    def __init__(self, *, sums: bool) -> None:
        super().__init__()
        self.conv, self.sums = nn.Conv2d(1, 1, 3, padding=1), sums

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.conv(images))
        return found + images if self.sums else found


def test_relevance_is_lost_at_a_sum_and_not_at_a_rectifier() -> None:
    graphs = [capture(Residual(sums=sums), torch.zeros(1, 1, 5, 5)) for sums in (True, False)]
    said = "Captum hooks 1 of 2 operations that divide relevance, so this is not LRP"
    assert [traps("LRP", graph) for graph in graphs] == [(said,), ()]


def test_a_module_that_is_called_twice_is_refused_where_captum_needs_one_for_each_call() -> None:
    with pytest.raises(CaptureError, match="captum:DeepLift needs a module for each call, and relu1 is called"):
        traps("DeepLift", NETWORKS["reused"]().subject.replay.graph)


class Saliency:
    """Stands for Captum's method of this name."""

    def __init__(self, scores: nn.Module) -> None:
        self.scores = scores

    def attribute(self, inputs: torch.Tensor, target: int) -> torch.Tensor:
        (found,) = torch.autograd.grad(self.scores(inputs)[0, target], inputs)
        return found.abs()


class IntegratedGradients(Saliency):
    """Stands for a method of Captum that runs several images in one batch."""

    def attribute(self, inputs: torch.Tensor, target: int) -> torch.Tensor:
        batch = torch.cat([inputs, 2 * inputs, 3 * inputs])
        (found,) = torch.autograd.grad(self.scores(batch)[:, target].square().sum(), inputs)
        return found


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("captum.attr")
    library.Saliency = Saliency  # type: ignore[attr-defined]
    library.IntegratedGradients = IntegratedGradients  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "captum", ModuleType("captum"))
    monkeypatch.setitem(sys.modules, "captum.attr", library)


@pytest.mark.usefixtures("stand_in")
def test_a_method_of_captum_is_computed_with_the_weights_that_replace_the_network_s() -> None:
    of = NETWORKS["in-place"]()
    before = state_of(of.network)
    weights = {"fc.weight": of.weights["fc.weight"].roll(1, 1), "norm.running_var": of.weights["norm.running_var"] + 1}
    other = of.subject.with_weights(weights)
    found = attribute(other, "captum:Saliency", target=1)
    np.testing.assert_allclose(found.cells, attribute(other, "gradient", target=1).cells, rtol=1e-9)
    assert not np.allclose(found.cells, attribute(of.subject, "captum:Saliency", target=1).cells)
    assert state_of(of.network) == before


@pytest.mark.usefixtures("stand_in")
def test_scores_whose_axis_of_images_was_squeezed_away_are_those_of_all_classes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    image = torch.randn(1, 3, 8, 8)
    found, expected = (
        attribute(
            Subject(network=each, name="net", image_name="image", tensor=image), "captum:Saliency", target=3
        ).cells
        for each in (nn.Sequential(network, nn.Flatten(0)), network)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


class OfOneImage(nn.Module):
    """A network with the size of a batch in its numbers, as exported files have it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(x)
        return found.reshape(1, -1)


def of_one_and_many() -> tuple[Subject, Subject]:
    """Return a network that takes one image at a time with an image, and the same network that takes a batch."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    image = torch.randn(1, 3, 8, 8)
    one, many = (
        Subject(network=each, name="net", image_name="image", tensor=image) for each in (OfOneImage(body), body)
    )
    return one, many


@pytest.mark.usefixtures("stand_in")
def test_a_network_that_takes_one_image_at_a_time_is_run_on_one_after_the_other() -> None:
    found, expected = (attribute(each, "captum:IntegratedGradients", target=3).cells for each in of_one_and_many())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    with pytest.raises(
        CaptureError, match="captum:DeepLift needs the image and its baseline in one batch, and net takes"
    ):
        attribute(of_one_and_many()[0], "captum:DeepLift", target=3)


@installed
@pytest.mark.parametrize("method", [name for name in METHODS if not name.startswith("DeepLift")])
def test_captum_s_methods_are_the_same_on_one_image_at_a_time(method: str) -> None:
    found, expected = (attribute(each, f"captum:{method}", target=3).cells for each in of_one_and_many())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@installed
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["in-place", "BatchNorm in train mode", "frozen parameters", "grey input"])
def test_captum_s_methods_run_and_leave_the_model_as_found(method: str, name: str) -> None:
    of = NETWORKS[name]()
    before = state_of(of.network)
    found = attribute(of.subject, f"captum:{method}", target=1)
    assert found.map.shape == (12, 12) and np.isfinite(found.map).all()
    assert state_of(of.network) == before


@installed
@pytest.mark.parametrize("name", ["in-place", "reused", "grouped", "no ReLU"])
def test_ours_equal_captum_s(name: str) -> None:
    of = NETWORKS[name]().subject
    pairs = [
        (attribute(of, "gradient").values, attribute(of, "captum:Saliency").values, np.abs),
        (attribute(of, "gradient-times-input").values, attribute(of, "captum:InputXGradient").values, np.array),
        (attribute(of, "guided-backprop").values, attribute(of, "captum:GuidedBackprop").values, np.array),
    ]
    for ours, theirs, change in pairs:
        assert np.allclose(change(ours), theirs, atol=1e-12)


@installed
@pytest.mark.parametrize(("window", "stride"), [(5, 3), (4, 4), (5, 4), (12, 5)])
def test_occlusion_equals_captum_s_at_ragged_edges(window: int, stride: int) -> None:
    of, options = NETWORKS["in-place"]().subject, AttributionOptions(window=window, stride=stride, baseline="mean")
    ours, theirs = (attribute(of, name, options=options).map for name in ("occlusion", "captum:Occlusion"))
    assert np.allclose(ours, theirs / 3, atol=1e-10)  # Captum has the fall in every channel


@installed
def test_integrated_gradients_equal_captum_s() -> None:
    from captum.attr import IntegratedGradients

    of = NETWORKS["in-place"]()
    plain = nn.Module()
    plain.forward = lambda images: of.run(images)[1]  # type: ignore[method-assign]
    baseline = of.image.mean((2, 3), keepdim=True).expand_as(of.image)
    options = AttributionOptions(steps=24, baseline="mean")
    ours = attribute(of.subject, "integrated-gradients", target=2, options=options).values
    theirs = IntegratedGradients(plain).attribute(
        of.image.clone(), baseline, target=2, n_steps=24, method="riemann_middle"
    )
    assert np.allclose(ours, theirs.detach().numpy()[0], atol=1e-10)


@installed
def test_guided_backprop_of_captum_is_the_plain_gradient_where_ours_is_not() -> None:
    of = NETWORKS["GoogLeNet"]().subject
    theirs, plain = attribute(of, "captum:GuidedBackprop").values, attribute(of, "gradient").values
    assert np.allclose(theirs, plain) and not np.allclose(attribute(of, "guided-backprop").values, plain)
    assert "Captum hooks 0 of 3 rectifiers" in attribute(of, "captum:GuidedBackprop").notes[0]
    assert torch.is_grad_enabled()
