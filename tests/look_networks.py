"""Small networks that hooks on modules get wrong, each with its plain twin: the same numbers, written out by hand.

A twin is a function of the network's own weights: `plain(weights, images, act)` returns the last map and the scores. It
has no module, nothing in place and nothing used twice, and `act` is the rectifier, so that the guided one can be put in
its place. What is compared with it is thereby torch's own autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import nn
from torch.nn import functional

from convscope.interpret.subject import Subject

Weights = Mapping[str, torch.Tensor]
Act = Callable[[torch.Tensor], torch.Tensor]
Plain = Callable[[Weights, torch.Tensor, Act], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, kw_only=True, eq=False)
class LookNetwork:
    """A network, an image for it, and its twin.

    Args:
        network: as its owner has it: any mode, any layout, frozen or not.
        plain: the twin.
        image: (1, C, H, W), in the network's type.
        act: the twin's rectifier; `guided` is put in its place where it is one.
        rectifies: whether the activation is a rectifier, which guided backpropagation changes.
        tolerance: how far a map may be from the twin's, as a share of its largest value.
        has_map: whether any layer has a spatial map.
    """

    network: nn.Module
    plain: Plain
    image: torch.Tensor
    act: Act = torch.relu
    rectifies: bool = True
    tolerance: float = 1e-6
    has_map: bool = True

    @cached_property
    def subject(self) -> Subject:
        """The network with its image, as every method takes it."""
        return Subject(network=self.network, name="net", image_name="image", tensor=self.image)

    @cached_property
    def weights(self) -> Weights:
        """The network's numbers by name, apart from autograd."""
        found = dict(self.network.named_parameters()) | dict(self.network.named_buffers())
        return {name.removeprefix("_orig_mod."): tensor.detach() for name, tensor in found.items()}

    def run(self, images: torch.Tensor, act: Act | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the twin's last map and its scores, (N, classes)."""
        last, scores = self.plain(self.weights, images, act or self.act)
        return last, scores.flatten(2).mean(2) if scores.ndim > 2 else scores


class Guided(torch.autograd.Function):
    """A ReLU whose gradient passes where the input and the gradient are both positive."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, inputs: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(inputs)
        return inputs.clamp(min=0)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        (inputs,) = context.saved_tensors
        return gradient * (inputs > 0) * (gradient > 0)


class Guided6(Guided):
    """The same with 6 as the most."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, inputs: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(torch.where(inputs < 6, inputs, -1))
        return inputs.clamp(0, 6)


class Small(nn.Module):
    """Convolution, batch norm, activation, pooling; convolution, activation; mean; fully connected layer."""

    def __init__(
        self,
        act: str = "module",
        *,
        kind: Callable[..., nn.Module] = nn.ReLU,
        channels: int = 3,
        classes: int = 5,
        groups: int = 1,
        end: str = "",
        norm: bool = True,
        last_norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        made = partial(kind, inplace=act == "in-place") if kind is nn.ReLU else kind
        self.relu1 = made()
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, stride=1, groups=groups)
        self.relu2 = (
            self.relu1 if act == "reused" else nn.ReLU(inplace=act == "in-place") if kind is nn.ReLU else kind()
        )
        self.last_norm = nn.BatchNorm1d(6) if last_norm else nn.Identity()
        self.fc = nn.Linear(6, classes)
        self.style, self.end = act, end

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.norm(self.conv1(images))
        found = functional.relu(found, inplace=True) if self.style == "functional" else self.relu1(found)
        found = self.conv2(functional.max_pool2d(found, 2))
        found = functional.relu(found) if self.style == "functional" else self.relu2(found)
        scores = self.fc(self.last_norm(found.mean((2, 3))))
        return scores.sigmoid() if self.end == "sigmoid" else scores


def _normalized(weights: Weights, name: str, images: torch.Tensor) -> torch.Tensor:
    if f"{name}.weight" not in weights:
        return images
    numbers = [weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    shape = (1, -1, *(1 for _ in images.shape[2:]))
    mean, var, scale, shift = (one.reshape(shape) for one in numbers)
    return (images - mean) / torch.sqrt(var + 1e-5) * scale + shift


def _conv(weights: Weights, name: str, images: torch.Tensor, padding: int = 1, **settings: int) -> torch.Tensor:
    return functional.conv2d(images, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding, **settings)


def _linear(weights: Weights, name: str, rows: torch.Tensor) -> torch.Tensor:
    return functional.linear(rows, weights[f"{name}.weight"], weights[f"{name}.bias"])


def small(
    weights: Weights, images: torch.Tensor, act: Act, *, groups: int = 1, end: str = ""
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `Small` computes in evaluation mode."""
    found = functional.max_pool2d(act(_normalized(weights, "norm", _conv(weights, "conv1", images))), 2)
    last = act(_conv(weights, "conv2", found, groups=groups))
    scores = _linear(weights, "fc", _normalized(weights, "last_norm", last.mean((2, 3))))
    return last, scores.sigmoid() if end == "sigmoid" else scores


class Dense(nn.Module):
    """Concatenated features; the last rectifier is a function that writes in place, as DenseNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(4)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(4, 3, 3, padding=1)
        self.norm5 = nn.BatchNorm2d(7)
        self.fc = nn.Linear(7, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.conv0(images)
        found = self.norm5(torch.cat([first, self.conv1(self.relu1(self.norm1(first)))], 1))
        out = functional.relu(found, inplace=True)
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(out, (1, 1)), 1))


def dense(weights: Weights, images: torch.Tensor, act: Act) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `Dense` computes in evaluation mode."""
    first = _conv(weights, "conv0", images)
    second = _conv(weights, "conv1", act(_normalized(weights, "norm1", first)))
    last = act(_normalized(weights, "norm5", torch.cat([first, second], 1)))
    return last, _linear(weights, "fc", last.mean((2, 3)))


class Branches(nn.Module):
    """Two branches side by side, every rectifier a function in place, as GoogLeNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.one = nn.Conv2d(4, 3, 1)
        self.three = nn.Conv2d(4, 3, 3, padding=1)
        self.fc = nn.Linear(6, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = functional.relu(self.conv0(images), inplace=True)
        branches = [functional.relu(self.one(found), inplace=True), functional.relu(self.three(found), inplace=True)]
        return self.fc(functional.dropout(torch.cat(branches, 1).mean((2, 3)), 0.4, self.training))


def branches(weights: Weights, images: torch.Tensor, act: Act) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `Branches` computes in evaluation mode."""
    found = act(_conv(weights, "conv0", images, stride=2))
    last = torch.cat([act(_conv(weights, "one", found, 0)), act(_conv(weights, "three", found))], 1)
    return last, _linear(weights, "fc", last.mean((2, 3)))


class UNet(nn.Module):
    """A score for each pixel: down, up again, and the finer map beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, padding=1)
        self.deep = nn.Conv2d(4, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.out = nn.Conv2d(8, 3, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        fine = self.relu(self.down(images))
        deep = self.relu(self.deep(functional.max_pool2d(fine, 2)))
        return self.out(torch.cat([fine, self.up(deep)], 1))


def unet(weights: Weights, images: torch.Tensor, act: Act) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `UNet` computes; its last map is what the last convolution reads."""
    fine = act(_conv(weights, "down", images))
    deep = act(_conv(weights, "deep", functional.max_pool2d(fine, 2)))
    up = functional.conv_transpose2d(deep, weights["up.weight"], weights["up.bias"], stride=2)
    last = torch.cat([fine, up], 1)
    return last, _conv(weights, "out", last, 0)


class OnePixel(nn.Module):
    """A map that shrinks to one cell before the scores: the last map is the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=4, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc = nn.Linear(6, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(functional.relu(self.conv2(functional.relu(self.conv1(images)))).flatten(1))


def one_pixel(weights: Weights, images: torch.Tensor, act: Act) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `OnePixel` computes."""
    last = act(_conv(weights, "conv1", images, stride=4))
    return last, _linear(weights, "fc", act(_conv(weights, "conv2", last, 0)).flatten(1))


def perceptron(weights: Weights, images: torch.Tensor, act: Act) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what two fully connected layers compute; there is no map."""
    return images, _linear(weights, "3", act(_linear(weights, "1", images.flatten(1))))


def _made(make: Callable[[], nn.Module], *, train: bool = False) -> nn.Module:
    """Return a network with weights from a fixed seed, in float64, its running statistics those of some images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
    return network.double().train(train)


def _image(channels: int = 3, size: int = 12, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, channels, size, size, generator=generator, dtype=torch.float64).to(dtype)


def _of_small(act: str = "module", *, train: bool = False, **settings: object) -> LookNetwork:
    end, groups = str(settings.get("end", "")), int(settings.get("groups", 1))  # type: ignore[call-overload]
    return LookNetwork(
        network=_made(lambda: Small(act, **settings), train=train),  # type: ignore[arg-type]
        plain=partial(small, end=end, groups=groups),
        image=_image(int(settings.get("channels", 3))),  # type: ignore[call-overload]
    )


def _frozen() -> LookNetwork:
    found = _of_small("in-place")
    found.network.requires_grad_(False)
    return found


def _relu6() -> LookNetwork:
    network = _made(lambda: Small(kind=nn.ReLU6))
    return LookNetwork(network=network, plain=small, image=4 * _image(), act=functional.relu6)


def _smooth(kind: Callable[..., nn.Module], act: Act) -> LookNetwork:
    return LookNetwork(network=_made(lambda: Small(kind=kind)), plain=small, image=_image(), act=act, rectifies=False)


def _channels_last() -> LookNetwork:
    network = _made(lambda: Small("in-place")).float().to(memory_format=torch.channels_last)
    image = _image(dtype=torch.float32).contiguous(memory_format=torch.channels_last)
    return LookNetwork(network=network, plain=small, image=image, tolerance=1e-5)


def _bf16() -> LookNetwork:
    network = _made(lambda: Small("functional", norm=False)).bfloat16()
    return LookNetwork(network=network, plain=small, image=_image(dtype=torch.bfloat16), tolerance=0.05)


def _compiled() -> LookNetwork:
    # The wrapper is what matters: convscope never runs what a compiler would make of it.
    network = torch.compile(_made(lambda: Small("functional")).float(), backend="eager")
    return LookNetwork(network=network, plain=small, image=_image(dtype=torch.float32), tolerance=1e-5)


def _without_convolution() -> LookNetwork:
    network = _made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.ReLU(), nn.Linear(8, 5)))
    return LookNetwork(network=network, plain=perceptron, image=_image(), has_map=False)


NETWORKS: Mapping[str, Callable[[], LookNetwork]] = {
    "in-place": lambda: _of_small("in-place"),
    "functional": lambda: _of_small("functional"),
    "reused": lambda: _of_small("reused"),
    "ReLU6": _relu6,
    "SiLU": lambda: _smooth(nn.SiLU, functional.silu),
    "DenseNet": lambda: LookNetwork(network=_made(Dense), plain=dense, image=_image()),
    "GoogLeNet": lambda: LookNetwork(network=_made(Branches), plain=branches, image=_image()),
    "U-Net": lambda: LookNetwork(network=_made(UNet), plain=unet, image=_image()),
    "grouped": lambda: _of_small(groups=2),
    "BatchNorm in train mode": lambda: _of_small("in-place", train=True),
    "frozen parameters": _frozen,
    "grey input": lambda: _of_small(channels=1),
    "one class": lambda: _of_small(classes=1),
    "5,000 classes": lambda: _of_small(classes=5000),
    "sigmoid multi-label": lambda: _of_small(end="sigmoid"),
    "batch of 1": lambda: _of_small(last_norm=True, train=True),
    "1x1 final map": lambda: LookNetwork(network=_made(OnePixel), plain=one_pixel, image=_image()),
    "no convolution": _without_convolution,
    "no ReLU": lambda: _smooth(nn.Tanh, torch.tanh),
    "channels-last": _channels_last,
    "bf16": _bf16,
    "compiled": _compiled,
}
"""The networks of the registry test, by what is hard about them."""
