"""Which options of the choice questions are true, computed with torch for the numbers of a draw.

Each function returns the truth of every option by its name. Where a paper decides, the computation is the smallest one
that shows the same, and the paper is named.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from exercise_oracles import conv, linear, parameters, support

Numbers = Mapping[str, Any]
Truth = Mapping[str, bool]


def _random(*sizes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-9)


def sharing(n: Numbers) -> Truth:
    layer = nn.Conv2d(n["C"], n["K"], n["F"], padding="same", device="meta")
    output = layer(torch.empty(1, n["C"], n["side"], n["side"], device="meta"))
    assert (parameters(layer), linear(n["C"] * n["side"] ** 2, output.numel())) == (n["convolution"], n["dense"])
    assert (output.numel(), layer.weight[0].numel()) == (n["outputs"], n["filter"])
    assert layer.bias is not None and n["K"] == layer.bias.numel()
    return {
        "right": n["filter"] < n["places"] and output[0, 0].numel() == n["places"],
        "smaller-output": output.numel() != n["outputs"],
        "pruned": parameters(layer) != n["convolution"],
        "one-channel": layer.weight.shape[1] == 1,
        "no-bias": layer.bias is None,
        "quantized": layer.weight.dtype != nn.Linear(1, 1).weight.dtype,
    }


def max_average(n: Numbers) -> Truth:
    window = torch.tensor([[[[9.0, 1.0], [2.0, 0.0]]]], requires_grad=True)
    grads = {}
    for name, pool in (("max", F.max_pool2d), ("average", F.avg_pool2d)):
        (grads[name],) = torch.autograd.grad(pool(window, 2).sum(), window)
    image = _random(1, 1, 12, 12)
    moved = F.max_pool2d(image.roll(1, 3), 2)[..., 1:-1]
    return {
        "right": bool(F.max_pool2d(window, 2) == window.max() > 2 * F.avg_pool2d(window, 2)),
        "parameters": parameters(nn.MaxPool2d(2)) < parameters(nn.AvgPool2d(2)),
        "invariant": _same(moved, F.max_pool2d(image, 2)[..., 1:-1]),
        "gradient": bool((grads["max"] != 0).all()) or not bool((grads["average"] != 0).all()),
        "size": F.max_pool2d(image, 2).numel() < F.avg_pool2d(image, 2).numel(),
    }


def pool_growth(n: Numbers) -> Truth:
    names = ["3", "p"] * 4
    fields = [1, *(support(names[: count + 1]) for count in range(len(names)))]
    added = [after - before for before, after in itertools.pairwise(fields)]
    convolutions, pools, plain = added[::2], added[1::2], [support(["3"] * count) for count in range(1, 5)]
    return {
        "right": all(later == 2 * one for one, later in itertools.pairwise(convolutions)),
        "doubled": any(fields[index + 1] == 2 * fields[index] for index in (3, 5, 7)),
        "one-more": all(one == 1 for one in pools),
        "none": fields[-1] == plain[-1],
        "halved": fields[-1] < plain[-1],
    }


def dropout(n: Numbers) -> Truth:
    """Of the paper: Krizhevsky, Sutskever, Hinton 2012, section 4.2: "substantial overfitting" without dropout."""
    from convscope.nets.build import build

    with torch.device("meta"):
        per_image = parameters(build("alexnet-2012")) / 1_281_167
    layer, x = nn.Dropout(0.5), torch.ones(1000)
    kept = layer.train()(x)
    return {
        "right": 45 < per_image < 55 and 300 < int((kept == 0).sum()) < 700,
        "vanishing": bool((kept[kept != 0] == 1).all()),  # kept values are scaled, for the same mean; none is restored
        "speed": not torch.equal(layer.eval()(x), x),
        "memory": parameters(nn.Sequential(nn.Linear(4, 4), layer)) < linear(4, 4),
        "underfitting": parameters(layer) > 0,
    }


def first_kernel(n: Numbers) -> Truth:
    large = conv(n["C"], n["C"], n["large"], bias=False)
    stacked = n["L"] * conv(n["C"], n["C"], n["K"], bias=False)
    field = support([str(n["K"])] * n["L"])
    assert (large, stacked, field) == (n["single"], n["stacked"], n["field"])
    image = torch.zeros(1, 3, 16, 16)
    sizes = {k: nn.Conv2d(3, 4, k, padding="same")(image).shape for k in (n["K"], n["large"])}
    return {
        "right": field == support([str(n["large"])]) and stacked < large,
        "larger-field": field == n["L"] * n["K"],
        "size": sizes[n["K"]] != sizes[n["large"]],
        "colour": nn.Conv2d(3, 4, n["large"]).weight.shape[1] != 3,
        "stride": nn.Conv2d(3, 4, n["large"], stride=1)(image).shape[-1] != 16 - n["large"] + 1,
        "same-weights": stacked == large,
    }


def sigmoid_alexnet(n: Numbers) -> Truth:
    """Eight layers of equal width, 7 activations as in AlexNet: the gradients at the start of training, and a loss."""

    def trained(activation: type[nn.Module]) -> tuple[list[float], float]:
        torch.manual_seed(0)
        layers = [nn.Linear(64, 64) for _ in range(8)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        network = nn.Sequential(*(part for one in layers[:-1] for part in (one, activation())), layers[-1])
        x, y = torch.randn(256, 64), torch.randint(64, (256,))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        norms: list[float] = []
        for _ in range(150):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y)
            loss.backward()
            norms = norms or [float(one.weight.grad.norm()) for one in layers if one.weight.grad is not None]
            optimizer.step()
        return norms, float(loss.detach())

    norms, loss = trained(nn.Sigmoid)
    _, relu_loss = trained(nn.ReLU)
    guessing = math.log(64)
    return {
        "right": 0.25**7 < 1e-4 and norms[0] < 1e-2 * norms[-1] and abs(loss - guessing) < 0.1 * guessing,
        "explode": not math.isfinite(loss) or not all(map(math.isfinite, norms)),
        "overfit": loss < relu_loss,
        "same": abs(loss - relu_loss) < 0.1,
        "last": norms[-1] < norms[0],
    }


def dead_relu(n: Numbers) -> Truth:
    layer, images = nn.Linear(3, 1), torch.rand(50, 3)
    with torch.no_grad():
        layer.weight.fill_(-1), layer.bias.fill_(-1)
    output = F.relu(layer(images))
    output.sum().backward()
    assert layer.weight.grad is not None
    gradient, before = layer.weight.grad.clone(), layer.weight.detach().clone()
    torch.optim.SGD(layer.parameters(), lr=1.0).step()
    return {
        "right": not gradient.any() and not output.any() and torch.equal(before, layer.weight.detach()),
        "slow": bool(gradient.any()),
        "recover": bool((gradient < 0).any()),
        "one-image": bool((layer(images) >= 0).any()),
        "leaks": bool((output < 0).any()),
    }


def four_steps(n: Numbers) -> Truth:
    """Run each order; a part that lacks what it needs ends it."""
    orders = {
        "right": "forward loss backward step",
        "step-first": "forward step loss backward",
        "backward-first": "backward forward loss step",
        "loss-last": "forward backward step loss",
        "loss-first": "loss forward backward step",
    }

    def runs(order: str) -> bool:
        layer, made = nn.Linear(2, 2), dict[str, torch.Tensor]()
        for part in order.split():
            try:
                if part == "forward":
                    made["logits"] = layer(torch.ones(1, 2))
                elif part == "loss":
                    made["loss"] = F.cross_entropy(made["logits"], torch.tensor([0]))
                elif part == "backward":
                    made["loss"].backward()  # type: ignore[no-untyped-call]
                else:
                    assert layer.weight.grad is not None
                    torch.optim.SGD(layer.parameters(), lr=0.1).step()
            except (KeyError, AssertionError):
                return False
        return True

    return {name: runs(order) for name, order in orders.items()}


def global_average(n: Numbers) -> Truth:
    channels, side, classes = 8, n["H"], 5
    assert linear(n["C"] * side * side, n["classes"]) == n["flat"] and linear(n["C"], n["classes"]) == n["averaged"]
    averaged = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)).double()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, classes)).double()
    x = _random(1, channels, side, side).requires_grad_()
    shuffled = x.flatten(2)[..., torch.randperm(side * side)].view_as(x)
    larger = averaged(_random(1, channels, side + 3, side + 3))
    read = {
        name: torch.autograd.grad(net(x)[0, 0], x)[0] != 0 for name, net in (("averaged", averaged), ("flat", flat))
    }
    return {
        "right": larger.shape == (1, classes)
        and _same(averaged(x), averaged(shuffled))
        and not _same(flat(x), flat(shuffled)),
        "channels": averaged[0](x).numel() == 1,
        "accuracy": _same(flat(x), flat(shuffled)),
        "learned": parameters(averaged[0]) > 0,
        "smaller-field": bool((read["averaged"] != read["flat"]).any()),
    }


def effective_field(n: Numbers) -> Truth:
    """Luo and others 2016: with equal weights, the gradient of a deep stack is near a Gaussian."""
    x = torch.ones(1, 1, 101, dtype=torch.float64, requires_grad=True)
    y = x
    for _ in range(30):
        y = F.conv1d(y, torch.full((1, 1, 3), 1 / 3, dtype=torch.float64))
    y[0, 0, 20].backward()
    assert x.grad is not None
    weights = x.grad[0, 0, 20:81]
    pool = F.max_pool1d(torch.tensor([[[3.0, 1.0]]]), 2)
    return {
        "right": float(weights[0]) < 1e-9 * float(weights[30]) and support(["3"] * 30) == 61,
        "padding": y.shape[-1] != 101 - 60,
        "smaller": bool((weights == 0).any()),
        "pool": float(pool) != 3,  # the edge of a window gives the maximum like any other place
        "depth": bool((x.grad[0, 0, :20] != 0).any()),
    }


def equivariance(n: Numbers) -> Truth:
    image, kernel = _random(1, 1, 9, 9), _random(1, 1, 3, 3, seed=1)
    before, after = F.conv2d(image, kernel), F.conv2d(image.roll(1, 3), kernel)
    moved = [cells for cells in range(-3, 4) if _same(before.roll(cells, 3)[..., 3:-3], after[..., 3:-3])]
    return {
        "right": moved == [1],
        "invariant": 0 in moved,
        "changes": not moved,
        "half": _same((before + before.roll(1, 3))[..., 3:-3] / 2, after[..., 3:-3]),
        "rotation": _same(F.conv2d(image.rot90(dims=(2, 3)), kernel), before.rot90(dims=(2, 3))),
    }


def flip(n: Numbers) -> Truth:
    from scipy.signal import convolve2d

    image, kernel = _random(6, 6), _random(3, 3, seed=1)

    def correlate(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        pad = other.shape[0] - 1
        return F.conv2d(one[None, None], other[None, None], padding=pad)[0, 0]

    flipped = torch.as_tensor(convolve2d(image.numpy(), kernel.numpy()))
    ahead = F.conv1d(
        torch.eye(7, dtype=torch.float64)[3][None, None], torch.tensor([[[1.0, 2, 3]]]).double(), padding=1
    )
    return {
        "right": _same(correlate(image, kernel.flip(0, 1)), flipped),
        "symmetric": _same(kernel, kernel.flip(0, 1)),
        "commutes": _same(correlate(image, kernel), correlate(kernel, image)),
        "causal": int(torch.nonzero(ahead[0, 0])[0]) >= 3,  # flipped about its middle, it still answers before
        "relu": _same(F.relu(correlate(image, kernel)), F.relu(flipped)),
    }


def odd_kernels(n: Numbers) -> Truth:
    x = _random(1, 1, 20, 20)
    padded = F.pad(x, (n["before"], n["after"]) * 2)
    kept = F.conv2d(padded, torch.ones(1, 1, n["K"], n["K"], dtype=torch.float64))
    odd = nn.Conv2d(1, 1, n["odd"], padding=n["side"]).double()
    return {
        "right": n["odd"] % 2 == 1 and odd(x).shape == x.shape and n["before"] != n["after"],
        "parameters": conv(1, 1, n["odd"]) < conv(1, 1, n["K"]),
        "stride": nn.Conv2d(1, 1, n["K"], stride=1).double()(x).shape[-1] != 20 - n["K"] + 1,
        "exact": kept.shape != x.shape,
        "speed": not torch.isfinite(kept).all(),
    }


def one_by_one(n: Numbers) -> Truth:
    assert conv(n["C"], n["K"], 1) == n["parameters"]
    layer, x = nn.Conv2d(6, 4, 1).double(), _random(1, 6, 5, 5)
    y = layer(x)
    sums = F.linear(x.movedim(1, -1), layer.weight[:, :, 0, 0], layer.bias).movedim(-1, 1)
    one_pixel = torch.zeros_like(x)
    one_pixel[0, :, 2, 2] = 1
    changed = (layer(x + one_pixel) - y).abs().sum(1)[0] > 1e-9
    return {
        "right": _same(y, sums),
        "nothing": _same(y, x),
        "blur": int(changed.sum()) > 1,
        "scale": bool((layer.weight != 0).sum(1).max() == 1),
        "pool": y.shape[2:] != x.shape[2:],
    }


def stretching(n: Numbers) -> Truth:
    images = _random(4, n["C"], n["side"], n["side"])
    flat = images.flatten(1)
    order = torch.randperm(flat.shape[1])
    layer = nn.Linear(flat.shape[1], 2).double()
    return {
        "right": _same(layer(flat), F.linear(flat[:, order], layer.weight[:, order], layer.bias)),
        "values": flat.shape[1] < images[0].numel() or flat.shape[1] != n["values"],
        "precision": not torch.equal(flat.view_as(images), images),
        "nothing": not _same(layer(flat), F.linear(flat[:, order], layer.weight[:, order], layer.bias)),
        "order": not torch.equal(flat[1].view_as(images[1]), images[1]),
    }


OPTIONS: Mapping[str, Callable[[Numbers], Truth]] = {
    "quiz-sharing": sharing,
    "quiz-max-average": max_average,
    "quiz-pool-growth": pool_growth,
    "quiz-dropout": dropout,
    "quiz-first-kernel": first_kernel,
    "quiz-sigmoid-alexnet": sigmoid_alexnet,
    "quiz-dead-relu": dead_relu,
    "quiz-four-steps": four_steps,
    "quiz-global-average": global_average,
    "quiz-effective-field": effective_field,
    "quiz-equivariance": equivariance,
    "quiz-flip": flip,
    "quiz-odd-kernels": odd_kernels,
    "quiz-one-by-one": one_by_one,
    "quiz-stretching": stretching,
}
