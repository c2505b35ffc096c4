"""A number that is none is traced to where it came from, and the last good weights are kept."""

from __future__ import annotations

import copy
import html
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convscope import evaluate, train
from convscope.data.open import probe
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import ImageSet
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.objective import Objective
from convscope.training.loop import loop
from convscope.training.loop.loop import fit
from convscope.training.loop.nonfinite import (
    DivergedError,
    advice_for,
    diagnose,
    diagnose_validation,
    largest_gradient,
)
from convscope.training.loop.state import Settings, loop_settings, new_state
from convscope.training.resolve.resolve import resolve


@pytest.fixture(params=["at once", "a step later"], autouse=True)
def read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step's numbers are read: a GPU's later, and it must not show."""
    monkeypatch.setattr(loop, "READ_LATE", ("cpu",) if request.param == "a step later" else ())
    monkeypatch.setattr(loop, "FEW_STEPS", 0)  # `Break` counts calls: those of training alone


class Break(nn.Module):
    """Passes on what it gets; from call number `at` on, it makes its output (or its gradient) NaN."""

    def __init__(self, at: int, *, backward: bool = False) -> None:
        super().__init__()
        self.calls_left = at
        self.backward = backward

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.calls_left -= 1
        if self.calls_left >= 0:
            return values
        if not self.backward:
            return values * float("nan")
        values = values.clone()
        if values.requires_grad:
            values.register_hook(lambda gradient: gradient * float("nan"))
        return values


def network(breaking: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    layers = {"conv1": nn.Conv2d(1, 4, 3), "norm": nn.BatchNorm2d(4), "conv2": nn.Conv2d(4, 4, 3)}
    made = nn.Sequential()
    for name, layer in layers.items():
        made.add_module(name, layer)
    made.add_module("middle", breaking or nn.Identity())
    made.add_module("pool", nn.AdaptiveAvgPool2d(1))
    made.add_module("flat", nn.Flatten())
    made.add_module("drop", nn.Dropout(0.5))
    made.add_module("head", nn.Linear(4, 2))
    return made


def images(count: int = 12) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 255, (count, 8, 8, 1), dtype=np.uint8)
    return ImageSet(pixels, np.arange(count) % 2, [str(number) for number in range(count)])


@pytest.fixture(scope="module")
def settings() -> Settings:
    """What the loop needs to train on `images` in steps of 4."""
    recipe = Recipe(
        model="lenet5", epochs=2, batch_size=4, optimizer="sgd", learning_rate=0.01, flip=False, random_crop_padding=0,
        precision="fp32", threads=1, device="cpu", schedule="constant", warmup=0.0,
    )  # fmt: skip
    resolved = resolve(recipe, probe("digits"))
    spec = ModelSpec(
        name="lenet5",
        options={},
        preprocessing=Preprocessing(
            decoding=resolved.decoding, normalization=Normalization((0.5,), (0.25,)), classes=("even", "odd")
        ),
    )
    return loop_settings(resolved, spec, images())


def ended(made: nn.Module, settings: Settings, val: ImageSet | None = None) -> DivergedError:
    """Train a network until it ends, as it must."""
    with pytest.raises(DivergedError) as caught:
        fit(
            new_state(made, settings.resolved),
            settings,
            images(),
            val,
            listener=Silent(),
            keep=lambda state: None,
            stop=lambda: False,
        )
    return caught.value


def test_the_first_layer_whose_output_is_not_finite_is_named(settings: Settings) -> None:
    error = ended(network(Break(5)), settings)
    assert str(error) == (
        "the loss became nan at epoch 2, step 6, with learning rate 0.01: "
        "the first number that is not finite is in the output of middle (Break): nan"
    )
    assert not error.of_data


def test_a_validation_that_is_not_finite_is_traced_to_its_layer_too(settings: Settings) -> None:
    class BreaksInEvaluation(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values if self.training else values * float("inf")

    error = ended(network(BreaksInEvaluation()), settings, images())
    assert str(error) == (
        "the validation loss became nan at epoch 1, step 3, with learning rate 0.01: "
        "the first number that is not finite is in the output of middle (BreaksInEvaluation): inf"
    )


def test_the_validation_is_run_again_until_a_batch_has_such_a_number() -> None:
    made, labels = network().train(), torch.zeros(2, dtype=torch.int64)
    good, bad = (torch.full((2, 1, 8, 8), level) for level in (1.0, 3e38))
    made.get_submodule("conv2").weight.data *= 1e3
    before = copy.deepcopy(made.state_dict())
    found = diagnose_validation(made, made, [(good, labels, labels), (bad, labels, labels)])
    assert "the first number that is not finite is in the output of conv" in found.text
    assert "every layer's output is finite" in diagnose_validation(made, made, [(good, labels, labels)]).text
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert made.training and not any(module._forward_hooks for module in made.modules())


def test_class_weights_that_make_the_loss_infinite_are_told_from_a_rate(settings: Settings) -> None:
    weighted = Objective(class_weights=torch.tensor([1.0, 3e38]))
    error = ended(network(), replace(settings, objective=weighted, resolved=settings.resolved.changed(batch_size=12)))
    assert error.of_class_weights and "and their loss times the class weights is inf" in str(error)
    advice = advice_for(replace(settings, objective=weighted), network(), of_class_weights=True)
    assert advice == "bring the class weights closer together (they differ by a factor of 3e+38)"


def test_advice_says_which_rate_it_means_and_names_extreme_class_weights(settings: Settings) -> None:
    advice = advice_for(replace(settings, resolved=settings.resolved.changed(learning_rate=0.005)), network())
    assert advice == "lower the rate, of at most 0.005, say to learning_rate=0.001, or set gradient_clip=1"
    clipped = replace(
        settings,
        resolved=settings.resolved.changed(learning_rate=0.005, gradient_clip=1.0),
        objective=Objective(class_weights=torch.tensor([1.0, 1e6])),
    )
    assert advice_for(clipped, network()) == (
        "bring the class weights closer together (they differ by a factor of 1e+06), "
        "or lower the rate, of at most 0.005, say to learning_rate=0.001"
    )


def test_a_gradient_that_is_not_finite_is_caught_before_it_is_stepped_along(settings: Settings) -> None:
    made = network(Break(2, backward=True))
    error = ended(made, settings)
    # Behind the break lies conv2: the layers after it have finite gradients.
    assert str(error) == (
        "a gradient became nan at epoch 1, step 3, with learning rate 0.01: "
        "every output is finite, and the gradients of conv2 (Conv2d) are nan"
    )
    assert all(bool(weight.isfinite().all()) for weight in made.parameters())


def test_a_rate_that_is_far_too_high_is_told_from_a_layer_that_is_wrong(settings: Settings) -> None:
    error = ended(network(), replace(settings, resolved=settings.resolved.changed(learning_rate=1e30)))
    assert "step 2, with learning rate 1e+30" in str(error)
    assert "the first number that is not finite is in the output of" in str(error)
    error = ended(network(), replace(settings, resolved=settings.resolved.changed(learning_rate=3e38)))
    assert "the first number" in str(error) or "went too far" in str(error)


def test_images_and_labels_that_are_not_finite_are_told_from_the_network(settings: Settings) -> None:
    error = ended(network(), replace(settings, normalization=Normalization((0.5,), (0.0,))))
    assert error.of_data
    assert "the pixels of 4 of the batch's 4 images are inf: the images are at fault" in str(error)
    targets = torch.tensor([[0.0, 1.0], [float("nan"), 0.0]])
    found = diagnose(network(), network(), Objective(), torch.zeros(2, 1, 8, 8), targets)
    assert found.of_data and found.text == "the labels of 1 of the batch's 2 images are nan: the data is at fault"


def test_what_goes_into_a_layer_is_looked_at_too() -> None:
    class Divides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.head(values.flatten(1) / values.sum())
            return answer

    made = Divides()
    found = diagnose(made, made, Objective(), torch.zeros(3, 1, 2, 2), torch.zeros(3, dtype=torch.int64))
    assert found.text == "the first number that is not finite is in the input of head (Linear): nan"


def test_weights_that_are_not_finite_are_named() -> None:
    made = network()
    made.get_submodule("conv2").bias.data[1] = float("inf")
    found = diagnose(made, made, Objective(), torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64))
    assert found.text == "the weights conv2.bias are inf: an earlier step went too far"


def test_the_network_is_left_as_it_was() -> None:
    made = network(Break(0))
    pixels, labels = torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    Objective()(network()(pixels), labels).backward()
    for weight in made.parameters():
        weight.grad = torch.ones_like(weight)
    before = copy.deepcopy(made.state_dict())
    generator = torch.get_rng_state()
    diagnose(made, made, Objective(), pixels, labels)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator) and made.training
    assert all(torch.equal(weight.grad, torch.ones_like(weight)) for weight in made.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 3e38])
def test_the_largest_gradient_shows_any_that_is_not_finite(value: float) -> None:
    made = network()
    assert float(largest_gradient(made)) == 0  # there are none yet
    for weight in made.parameters():
        weight.grad = torch.zeros_like(weight)
    made.get_submodule("norm").weight.grad[2] = value
    assert float(largest_gradient(made).isfinite()) == (value == 3e38)


def test_a_run_that_diverges_says_what_it_kept(tmp_path: Path) -> None:
    wild = Recipe(
        model="lenet5", epochs=2, batch_size=256, threads=1, autotune="fp32",
        learning_rate=1e30, schedule="constant", warmup=0.0,
    )  # fmt: skip
    with pytest.raises(RunError, match=r"to keep; lower the rate, of at most 1e\+30, say to learning_rate") as caught:
        train("digits", wild, runs_directory=tmp_path, name="wild")
    assert "at epoch 1, step" in str(caught.value) and not (tmp_path / "wild" / "weights.safetensors").exists()
    assert str(caught.value) in (tmp_path / "wild" / "log.txt").read_text()
    page = html.unescape((tmp_path / "wild" / "report.html").read_text())
    assert all(part in page for part in str(caught.value).split("; lower the rate"))
    # Going on would begin anew, and end alike.
    with pytest.raises(RunError, match=r"no weights.safetensors: its training diverged .* train anew, at a lower rate"):
        evaluate(tmp_path / "wild")
    (tmp_path / "wild" / "status.json").unlink()
    with pytest.raises(RunError, match=r"go on training with convscope.train.resume="):
        evaluate(tmp_path / "wild")
