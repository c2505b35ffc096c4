"""A network replayed with other weights and in other types: equal to the network itself, which stays as it was."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from convscope.errors import CaptureError
from convscope.interpret.behaviour.network_tail import Tail
from convscope.interpret.look.prediction import image_prediction
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).eval()


def test_other_weights_give_what_a_network_with_them_gives(network: nn.Module) -> None:
    batch = torch.randn(2, 3, 12, 12)
    other = deepcopy(network)
    with torch.no_grad():
        for tensor in (*other.parameters(), *other.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    replays = Replays(network)
    own = replays.class_scores(batch)
    replaced = replays.with_weights({name: tensor.clone() for name, tensor in other.state_dict().items()})
    assert torch.equal(replaced.class_scores(batch), other(batch))
    assert torch.equal(replaced.on(batch).class_scores, other(batch))
    assert torch.equal(replays.class_scores(batch), own)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_part_of_the_weights_may_be_replaced_twice(network: nn.Module) -> None:
    batch = torch.randn(1, 3, 12, 12)
    first = Replays(network).with_weights({"7.weight": torch.zeros(4, 6)})
    second = first.with_weights({"7.bias": torch.arange(4.0)})
    assert torch.equal(second.class_scores(batch), torch.arange(4.0)[None])


def test_scores_in_another_type_are_near_those_of_the_network(network: nn.Module) -> None:
    batch = torch.randn(2, 3, 12, 12)
    expected = network(batch)
    exact = Replays(network).computed_in(torch.float64, channels_last=True).class_scores(batch)
    coarse = Replays(network).computed_in(torch.bfloat16).class_scores(batch)
    assert exact.dtype == torch.float64 and coarse.dtype == torch.bfloat16
    torch.testing.assert_close(exact.float(), expected)
    torch.testing.assert_close(coarse.float(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("own", [torch.bfloat16, torch.float16])
def test_a_network_of_half_precision_is_computed_in_another_on_a_shape_that_is_new(
    network: nn.Module, own: torch.dtype
) -> None:
    expected, batch = deepcopy(network), torch.randn(4, 3, 12, 12)
    network.to(own)
    expected.load_state_dict(network.state_dict())
    replays = Replays(network).computed_in(torch.float32)
    torch.testing.assert_close(replays.on(batch).class_scores, expected(batch))
    torch.testing.assert_close(replays.class_scores(batch[:2]), expected(batch[:2]))


@pytest.mark.parametrize("own", [torch.bfloat16, torch.float16])
def test_numbers_that_a_network_of_half_precision_makes_itself_are_of_the_asked_type(own: torch.dtype) -> None:
    torch.manual_seed(0)
    circular = nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular")  # pads into a tensor that it makes
    model, batch = nn.Sequential(circular, nn.Softmax(dim=1), nn.Flatten()).to(own), torch.randn(1, 3, 8, 8)
    expected = deepcopy(model).double()(batch.to(own).double())
    found = Replays(model).computed_in(torch.float64).class_scores(batch.to(own))
    torch.testing.assert_close(found, expected)


def test_a_network_of_whole_numbers_takes_batches_too() -> None:
    class Chooses(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).argmax(1)

    assert Replays(Chooses()).takes([torch.zeros(3, 1, 4, 4)])


@pytest.mark.parametrize("ending", [(nn.Flatten(0),), (nn.Softmax(1), nn.Flatten(0)), (nn.Flatten(0), nn.Softmax(0))])
def test_scores_whose_axis_of_images_is_squeezed_away_are_those_of_one_image(ending: tuple[nn.Module, ...]) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    network, batch = nn.Sequential(*layers, *ending).eval(), torch.randn(2, 1, 6, 6)
    replays = Replays(network)
    with torch.no_grad():
        expected = torch.stack([network(one) for one in torch.split(batch, 1)])
        maps = layers[0](batch[:1])
    torch.testing.assert_close(replays.class_scores(batch), expected)
    torch.testing.assert_close(replays.on(batch[:1]).class_scores, expected[:1])
    torch.testing.assert_close(Tail(replays, "0", batch[:1]).class_scores(maps), expected[:1])
    image = Subject(network=network, name="net", image_name="noise", tensor=batch[:1])
    shares = expected[0].softmax(0) if len(ending) == 1 else expected[0]
    np.testing.assert_allclose(image_prediction(image).shares, shares.numpy(), rtol=1e-5)


def test_one_number_for_all_images_is_no_score() -> None:
    class Total(nn.Conv2d):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images).mean()

    replays, batch = Replays(Total(3, 4, 3), name="total"), torch.randn(2, 3, 12, 12)
    for scores in (replays.class_scores, lambda given: replays.on(given).class_scores):
        with pytest.raises(CaptureError, match="total gives one number for all images together"):
            scores(batch)


@pytest.mark.parametrize(
    "kind", ["relu", "relu6", "silu", "hardswish", "hardsigmoid", "leaky", "elu", "add", "add wide"]
)
def test_what_writes_in_place_gives_the_same_numbers_and_gradients_in_memory_of_its_own(kind: str) -> None:
    layers = {
        "relu": nn.ReLU(inplace=True),
        "relu6": nn.ReLU6(inplace=True),
        "silu": nn.SiLU(inplace=True),
        "hardswish": nn.Hardswish(inplace=True),
        "hardsigmoid": nn.Hardsigmoid(inplace=True),
        "leaky": nn.LeakyReLU(0.1, inplace=True),
        "elu": nn.ELU(inplace=True),
    }

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(2, 4, 3, padding=1)
            self.activation = layers.get(kind, nn.Identity())

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found = 3 * self.first(images)
            if kind == "add":
                found += self.first(images)
            elif kind == "add wide":
                found += found.mean((2, 3), keepdim=True)
            return self.activation(found).square().mean((2, 3))

    torch.manual_seed(0)
    model, batch = InPlace(), torch.randn(2, 2, 6, 6)
    run = Replays(model).on(batch)
    before = run.value("first").clone()
    own = batch.clone().requires_grad_()
    scores = model(own)
    assert torch.equal(run.scores, scores) and torch.equal(run.value("first"), before)
    (expected,) = torch.autograd.grad(scores[:, 1].sum(), own)
    assert torch.equal(run.gradients(run.score(1).sum(), run.inputs[0])[0], expected)


def test_memory_that_is_not_enough_is_said_with_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Enormous(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.repeat(1, 1, 2**19, 2**19).mean((2, 3))

    with pytest.raises(
        CaptureError, match=r"repeat asks for 70\.37 TB of memory, and less is free: take a smaller image"
    ):
        Replays(Enormous()).class_scores(torch.zeros(1, 1, 8, 8))
    run = Replays(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())).on(torch.zeros(1, 1, 5, 5))
    score = run.score(0).sum()
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")

    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.autograd, "grad", full)
    with pytest.raises(CaptureError, match=r"Sequential: a gradient asks for 2\.147 GB of memory"):
        run.gradients(score, run.inputs[0])


class Doubled(torch.autograd.Function):
    """The identity, by way of a tensor that is detached; its gradient is its own."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, values: torch.Tensor) -> torch.Tensor:
        return values.detach() * 1

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class Detaching(nn.Module):
    """A convolution and a fully connected layer, with something detached between them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.fc, self.kind = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), kind

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.conv(images)
        if self.kind == "straight-through":
            found = found + (found.sign() - found).detach()
        elif self.kind == "data":
            found = found + (found.sign() - found).data
        elif self.kind == "itself":
            found = found * found.detach()
        elif self.kind == "in a list":
            found = torch.stack([found.square(), found.detach(), found.detach()[:, :1] * found]).mean(0)
        elif self.kind == "in a function":
            found = found + Doubled.apply(found.relu())
        return self.fc(found.mean((2, 3)))


@pytest.mark.parametrize("kind", ["straight-through", "data", "itself", "in a list", "in a function"])
def test_gradients_stop_where_a_forward_pass_detaches_as_autograd_s_do(kind: str) -> None:
    torch.manual_seed(0)
    network, image = Detaching(kind).double().eval(), torch.randn(1, 3, 7, 9, dtype=torch.float64)
    leaf = image.clone().requires_grad_()
    (expected,) = torch.autograd.grad(network(leaf)[0, 3], leaf)
    _, found = Replays(network).class_gradients(3, image)
    assert float(expected.abs().max()) > 0
    torch.testing.assert_close(found, expected)


def test_a_network_whose_every_way_is_detached_is_explained_through_it() -> None:
    torch.manual_seed(0)

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.backbone(images).detach().mean((2, 3)))

    _, found = Replays(Frozen()).class_gradients(3, torch.randn(1, 3, 7, 9))
    assert float(found.abs().max()) > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_an_operation_updates_beside_its_result_stays_the_network_s() -> None:
    torch.manual_seed(0)
    observing = torch.ao.quantization.FusedMovingAvgObsFakeQuantize()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), observing, nn.Flatten(), nn.Linear(140, 2))
    network(torch.randn(2, 3, 7, 9))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    replays, batch = Replays(network), 9 * torch.randn(2, 3, 7, 9)
    first, again = replays.class_scores(batch), replays.class_scores(batch)
    list(replays.values_as_they_come(batch, wanted=("0", "3")))
    replays.class_gradients(1, batch)
    assert torch.equal(first, again)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_weights_that_have_no_size_yet_are_one_line() -> None:
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(CaptureError, match=r"^0\.weight has no size yet: run the network once"):
        Replays(network).on(torch.randn(1, 3, 7, 9))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_quantized_layer_is_one_line() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    quantized = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)
    with pytest.raises(CaptureError, match=r"^1 is quantized: .* give the network before that$"):
        Replays(quantized).class_scores(torch.randn(1, 3, 2, 2))


def test_the_operation_that_ends_the_gradient_is_named() -> None:
    class Chosen(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return nn.functional.one_hot(images.flatten(1).argmax(1), 12).float()

    run = Replays(Chosen(), name="chosen").on(torch.randn(1, 3, 2, 2))
    with pytest.raises(CaptureError, match=r"^chosen has no gradient here: argmax gives numbers that have none$"):
        run.gradients(run.score(3).sum(), run.inputs[0])


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("layout", ["steps first", "step by step"])
def test_scores_of_steps_are_their_mean_for_each_image(layout: str, images: int) -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 5)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            found = self.fc(self.conv(batch).flatten(2).transpose(1, 2))
            return found.transpose(0, 1) if layout == "steps first" else found.flatten(0, 1)

    torch.manual_seed(0)
    network, batch = Steps(), torch.randn(images, 3, 16, 20)
    each = network.fc(network.conv(batch).flatten(2).transpose(1, 2)).mean(1)
    replays = Replays(network)
    torch.testing.assert_close(replays.class_scores(batch), each)
    torch.testing.assert_close(replays.on(batch[:1]).score(4), each[:1, 4])


def test_a_loss_beside_the_scores_is_passed_over() -> None:
    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(12, 3)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            scores = self.fc(images.flatten(1))
            return {"loss": scores.logsumexp(1).mean(), "logits": scores}

    network, batch = WithLoss(), torch.randn(2, 3, 2, 2)
    assert torch.equal(Replays(network).class_scores(batch), network(batch)["logits"])
