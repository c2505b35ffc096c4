"""Each method on each network that hooks on modules get wrong: equal to its plain twin, and the model left as found."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional

from convscope.errors import GeometryError
from convscope.interpret.attribution.methods import METHODS, attribute
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.replay.class_scores import by_class
from look_networks import NETWORKS, Guided, Guided6, LookNetwork
from look_state import state_of

Found = npt.NDArray[np.float64]
STEPS = 4


def of_twin(of: LookNetwork, target: int, *, guided: bool = False) -> tuple[torch.Tensor, ...]:
    """The twin's last map, and the gradients of the class's score with respect to the map and the image."""
    image = of.image.clone().requires_grad_()
    act = (Guided6.apply if of.act is functional.relu6 else Guided.apply) if guided and of.rectifies else of.act
    last, scores = of.run(image, act)
    by_map, by_image = torch.autograd.grad(scores[0, target], [last, image], allow_unused=True)
    return last, by_map, by_image


def numbers(tensor: torch.Tensor) -> Found:
    return np.asarray(tensor.detach().double())


def maps(of: LookNetwork, target: int) -> tuple[Found, Found]:
    subject = of.subject
    value = subject.geometry.last_map(subject.replay.output)
    assert value is not None
    return numbers(subject.replay.tensor(value)), numbers(of_twin(of, target)[0])


def ours(of: LookNetwork, method: str, target: int, **options: object) -> Found:
    return attribute(of.subject, method, target=target, options=AttributionOptions(**options)).cells  # type: ignore[arg-type]


def grad_cam(of: LookNetwork, target: int) -> tuple[Found, Found]:
    last, gradient, _ = map(numbers, of_twin(of, target))
    wanted = (gradient.mean((2, 3), keepdims=True) * last).sum(1)[0].clip(min=0)
    return ours(of, "grad-cam", target), wanted


def hires_cam(of: LookNetwork, target: int) -> tuple[Found, Found]:
    last, gradient, _ = map(numbers, of_twin(of, target))
    return ours(of, "hires-cam", target), (gradient * last).sum(1)[0]


def gradient(of: LookNetwork, target: int) -> tuple[Found, Found]:
    return ours(of, "gradient", target), np.abs(numbers(of_twin(of, target)[2])).sum(1)[0]


def gradient_times_input(of: LookNetwork, target: int) -> tuple[Found, Found]:
    wanted = (numbers(of_twin(of, target)[2]) * numbers(of.image)).sum(1)[0]
    return ours(of, "gradient-times-input", target), wanted


def guided_backprop(of: LookNetwork, target: int) -> tuple[Found, Found]:
    return ours(of, "guided-backprop", target), np.abs(numbers(of_twin(of, target, guided=True)[2])).sum(1)[0]


def integrated_gradients(of: LookNetwork, target: int) -> tuple[Found, Found]:
    baseline = of.image.double().mean((2, 3), keepdim=True).expand_as(of.image).to(of.image.dtype)
    difference = (of.image - baseline).double()
    total = np.zeros(of.image.shape)
    for step in range(STEPS):
        image = (baseline.double() + (step + 0.5) / STEPS * difference).to(of.image.dtype).requires_grad_()
        total += numbers(torch.autograd.grad(of.run(image)[1][0, target], image)[0])
    wanted = (numbers(difference) * total / STEPS).sum(1)[0]
    return ours(of, "integrated-gradients", target, baseline="mean", steps=STEPS), wanted


def occlusion(of: LookNetwork, target: int) -> tuple[Found, Found]:
    size, side, stride = of.image.shape[2], 5, 4  # the last windows are cut by the edge
    baseline = of.image.double().mean((2, 3), keepdim=True).expand_as(of.image).to(of.image.dtype)
    total, covered = np.zeros((size, size)), np.zeros((size, size))
    whole = numbers(of.run(of.image)[1])[0, target]
    for top in range(0, size - side + stride, stride):
        for left in range(0, size - side + stride, stride):
            image = of.image.clone()
            image[..., top : top + side, left : left + side] = baseline[..., top : top + side, left : left + side]
            fall = whole - numbers(of.run(image)[1])[0, target]
            total[top : top + side, left : left + side] += fall
            covered[top : top + side, left : left + side] += 1
    return ours(of, "occlusion", target, baseline="mean", window=side, stride=stride), total / covered


@dataclass(frozen=True)
class Look:
    """What is asked of a network: ours, and the same by hand on the twin; `at_layer` needs a layer with a map."""

    compare: Callable[[LookNetwork, int], tuple[Found, Found]]
    at_layer: bool = False


# Another kind of look is tested on every network by a line here.
LOOKS = {
    "maps": Look(maps, at_layer=True),
    "grad-cam": Look(grad_cam, at_layer=True),
    "hires-cam": Look(hires_cam, at_layer=True),
    "gradient": Look(gradient),
    "gradient-times-input": Look(gradient_times_input),
    "integrated-gradients": Look(integrated_gradients),
    "occlusion": Look(occlusion),
    "guided-backprop": Look(guided_backprop),
}


@cache
def network(name: str) -> LookNetwork:
    return NETWORKS[name]()


def test_every_method_is_among_the_looks() -> None:
    assert set(METHODS) <= set(LOOKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_twin_computes_what_its_network_computes(name: str) -> None:
    of = network(name)
    module = deepcopy(getattr(of.network, "_orig_mod", of.network)).eval()
    wanted, found = numbers(by_class(module(of.image))), numbers(of.run(of.image)[1])
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= of.tolerance * np.abs(wanted).max()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_look_equals_the_plain_twin_and_leaves_the_model_as_found(name: str, look: str) -> None:
    of, asked = network(name), LOOKS[look]
    target = min(1, of.run(of.image)[1].shape[1] - 1)
    for parameter in of.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = state_of(of.network)
    if asked.at_layer and not of.has_map:
        with pytest.raises((GeometryError, AssertionError)):
            asked.compare(of, target)
    else:
        found, wanted = asked.compare(of, target)
        assert found.shape == wanted.shape
        largest = np.abs(wanted).max()
        assert largest > 0 or look == "grad-cam"
        assert np.abs(found - wanted).max() <= of.tolerance * max(largest, 1e-12)
    assert state_of(of.network) == before
