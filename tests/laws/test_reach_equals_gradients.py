"""Reach is proved, not asserted: it equals the support of torch's gradients, and lies inside what NaN spreads to.

With positive weights and inputs in float64, and max pooling replaced by the mean, no product can cancel, so an
output's gradient is nonzero at exactly the pixels that it depends on. With real weights a gradient may vanish
(a ReLU that is off), so there the support is only contained in the reach; and a NaN put into a pixel reaches at least
everything that depends on it.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from catalogue_facts import DEEPER_OR_WIDER, short_shape
from convscope.capture.capture import capture
from convscope.geometry.relation import ReachStatus
from convscope.graph.propagate import propagate
from convscope.graph.reach_walk import walk_back, walk_on
from convscope.graph.receptive_field import field_at
from convscope.graph.records import Graph
from convscope.nets import catalogue
from convscope.nets.build import build

# The costliest networks, and the deeper and wider ones of a family, run in `make proofs`.
COSTLY = ("vgg", "senet", "unet", "c3d", "r3d", "fundus")


def make_positive(model: nn.Module) -> nn.Module:
    """Float64, evaluation, positive weights with a mean of one over each output: nothing cancels or explodes."""
    model = model.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        fixed = [(name, buffer) for name, buffer in model.named_buffers() if buffer.is_floating_point()]
        # Filters and scales that are fitted instead of trained are buffers.
        weights = [buffer for name, buffer in fixed if name.endswith("weight")]
        for weight in (*model.parameters(), *weights):
            if weight.dim() > 1:
                noise = torch.rand(weight.shape, generator=generator, dtype=torch.float64) + 0.5
                weight.copy_(noise / noise[0].numel())
            else:
                weight.fill_(0.5)
        for name, buffer in fixed:
            if not name.endswith("weight"):
                buffer.fill_(1.0 if name.endswith("var") else 0.0)
    return model


@pytest.fixture
def mean_for_max(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every max pooling becomes the mean over the same window."""
    for dimensions, pool in enumerate((F.avg_pool1d, F.avg_pool2d, F.avg_pool3d), start=1):
        monkeypatch.setattr(F, f"max_pool{dimensions}d", _mean(pool))


def _mean(pool: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def mean(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        assert not return_indices and (dilation == 1 or set(dilation) == {1})
        return pool(x, kernel_size, stride, padding, ceil_mode)

    return mean


class Outputs:
    """The output of every leaf module's first call, gathered while the model runs."""

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        self.of: dict[str, torch.Tensor] = {}
        hooks = [
            module.register_forward_hook(lambda _m, _i, out, path=path: self.of.setdefault(path, out))
            for path, module in model.named_modules()
            if not list(module.children())
        ]
        try:
            with torch.enable_grad():
                model(x)
        finally:
            for hook in hooks:
                hook.remove()


def last_value(graph: Graph, module: str) -> int | None:
    """The value that a leaf module's first call returned."""
    nodes = [n for n in graph.nodes if n.module == module and n.call == 0]
    return nodes[-1].outputs[0] if nodes else None


def check_supports(model: nn.Module, x: torch.Tensor, *, modules: int, exact: bool) -> int:
    """Compare gradient supports with reach at a few cells of a few modules; returns how many cells were compared."""
    graph = capture(model, tuple(x.shape[1:]))
    assert graph.error is None
    reaches = propagate(graph)
    x = x.requires_grad_()
    outputs = Outputs(model, x).of
    paths = [p for p in outputs if isinstance(outputs[p], torch.Tensor) and outputs[p].requires_grad]
    checked = 0
    for i in np.unique(np.linspace(0, len(paths) - 1, modules).astype(int)):
        value = last_value(graph, paths[i])
        output = outputs[paths[i]]
        if value is None or tuple(output.shape) != graph.shape(value):
            continue
        for fraction in (0.0, 0.4, 1.0):
            cell = tuple(round(fraction * (size - 1)) for size in output.shape)
            (gradient,) = torch.autograd.grad(output[cell], x, retain_graph=True)
            support = (gradient[0] != 0).any(0).numpy()
            walk = walk_back(graph, value, cell)
            mask = walk.mask(graph.inputs[0])
            assert walk.status(graph.inputs[0]) <= ReachStatus.WHOLE_AXIS
            assert not (support & ~mask).any(), f"{paths[i]}: the gradient reaches where we say nothing is read"
            if exact:
                assert (support == mask).all(), f"{paths[i]} at {cell}: {mask.sum()} said, {support.sum()} found"
                check_hull(reaches, graph, value, cell, support)
            checked += 1
    return checked


def check_hull(reaches, graph: Graph, value: int, cell: tuple[int, ...], support: np.ndarray) -> None:
    """The intervals are the ends of the support along every axis."""
    for axis in range(support.ndim):
        reach = reaches.of(value, (graph.inputs[0], 2 + axis))
        positions = np.flatnonzero(support.any(axis=tuple(a for a in range(support.ndim) if a != axis)))
        expected = (int(positions[0]), int(positions[-1])) if positions.size else None
        found = field_at(reach, cell) if reach is not None else None
        assert found == expected, f"axis {axis}: {found} said, {expected} found"


def check_entry(entry: catalogue.Entry) -> None:
    shape = short_shape(entry)
    model = build(entry.name, image_size=shape[1:])
    x = torch.rand(1, *shape, dtype=torch.float64) + 0.5
    assert check_supports(make_positive(model), x, modules=4, exact=True) >= 3


SLOW = [entry for entry in catalogue.ENTRIES if entry.name in DEEPER_OR_WIDER or entry.name.startswith(COSTLY)]
QUICK = [entry for entry in catalogue.ENTRIES if entry not in SLOW]


@pytest.mark.parametrize("entry", QUICK, ids=lambda e: e.name)
def test_catalogue_reach_is_gradient_support(entry: catalogue.Entry, mean_for_max: None) -> None:
    check_entry(entry)


@pytest.mark.long
@pytest.mark.parametrize("entry", SLOW, ids=lambda e: e.name)
def test_costly_reach_is_gradient_support(entry: catalogue.Entry, mean_for_max: None) -> None:
    check_entry(entry)


@pytest.mark.parametrize("name", ["lenet5", "alexnet-mini", "resnet18"])
def test_nan_bracket_with_real_weights(name: str) -> None:
    torch.manual_seed(0)
    entry = catalogue.find(name)
    model = build(name, image_size=32).eval()
    x = torch.randn(1, entry.input_shape[0], 32, 32)
    assert check_supports(model, x.clone(), modules=6, exact=False) >= 3
    graph = capture(model, tuple(x.shape[1:]))
    for pixel in ((0, 0), (13, 20), (31, 31)):
        spoiled = x.clone()
        spoiled[0, :, *pixel] = float("nan")
        walk = walk_on(graph, graph.inputs[0], (0, 0, *pixel))
        with torch.no_grad():
            outputs = Outputs(model, spoiled).of
        compared = 0
        for path, output in outputs.items():
            value = last_value(graph, path)
            if value is not None and tuple(output.shape) == graph.shape(value):
                compared += 1
                spread = output.isnan().numpy()
                assert not ((walk.of(value) > 0) & ~spread).any(), f"{path}: said to depend on {pixel}, no NaN came"
        assert compared >= 5


# --- random networks ----------------------------------------------------------------------------------------------

LAYERS = {
    "conv3": lambda c: nn.Conv2d(c, c, 3, padding=1),
    "conv5": lambda c: nn.Conv2d(c, c, 5, padding=2),
    "dilated": lambda c: nn.Conv2d(c, c, 3, padding=2, dilation=2),
    "row": lambda c: nn.Conv2d(c, c, (1, 3), padding=(0, 1)),
    "point": lambda c: nn.Conv2d(c, c, 1),
    "grouped": lambda c: nn.Conv2d(c, c, 3, padding=1, groups=2),
    "depthwise": lambda c: nn.Conv2d(c, c, 3, padding=1, groups=c),
    "even": lambda c: nn.Conv2d(c, c, 4, padding="same"),
    "pool": lambda c: nn.AvgPool2d(3, stride=1, padding=1),
    "relu": lambda c: nn.ReLU(inplace=True),
    "norm": lambda c: nn.BatchNorm2d(c),
    "shuffle": lambda c: nn.ChannelShuffle(2),
    "reflect": lambda c: nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3)),
    "down-up": lambda c: nn.Sequential(nn.Conv2d(c, c, 3, stride=2, padding=1), nn.Upsample(scale_factor=2)),
    "down-transposed": lambda c: nn.Sequential(nn.AvgPool2d(2), nn.ConvTranspose2d(c, c, 3, 2, 1, output_padding=1)),
    "bilinear": lambda c: nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")),
    "space-depth": lambda c: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * c, 4 * c, 1), nn.PixelShuffle(2)),
    "gate": lambda c: Gate(),
    "circular": lambda c: nn.Conv2d(c, c, 3, padding=1, padding_mode="circular"),
    "channels-last": lambda c: AtEachPosition(c, "channels last"),
    "tokens": lambda c: AtEachPosition(c, "tokens"),
    "weight": lambda c: AtEachPosition(c, "weight"),
    "attend": lambda c: Attend(),
    "windows": lambda c: Windows(c),
    "token-windows": lambda c: TokenWindows(c),
    "ceil": lambda c: Fitted(nn.AvgPool2d(3, 2, ceil_mode=True), nn.Conv2d(c, c, 3, padding=1)),
    "unet": lambda c: Fitted(nn.AvgPool2d(3, 3), nn.Conv2d(c, c, 3, padding=1)),
    "empty": lambda c: Nothing(),
}


class AtEachPosition(nn.Module):
    """A fully connected layer over the channels of each position, in the shapes in which networks write it."""

    def __init__(self, channels: int, way: str) -> None:
        super().__init__()
        self.linear, self.way = nn.Linear(channels, channels), way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "channels last":
            return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.way == "tokens":
            tokens = self.linear(x.flatten(2).transpose(1, 2)).transpose(1, 2)
            # Contiguous: torch 2.13's gradient of a batch norm is wrong on a map with these strides.
            return tokens.reshape(x.shape).contiguous()
        return torch.einsum("nchw,dc->ndhw", x, self.linear.weight)


class Attend(nn.Module):
    """Attention without a softmax, whose gradient could vanish, and without zeros: every position reads all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = (x.flatten(2) + 1.0) / x[0, 0].numel()
        return (tokens @ (tokens.transpose(1, 2) @ tokens)).reshape(x.shape)


class Windows(nn.Module):
    """Windows of 2 by 2 positions, rolled by one, each mixed whole and put back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * channels, 4 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        x = x.roll((1, 1), (2, 3)).reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1)
        x = self.linear(x.reshape(-1, 4 * c)).reshape(n, h // 2, w // 2, 2, 2, c)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w).roll((-1, -1), (2, 3))


class TokenWindows(nn.Module):
    """Windows of 2 by 2 positions, each mixed whole, added up onto the map as a list of positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * channels, 4 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        windows = tokens.reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4 * c)
        mixed = self.linear(windows).reshape(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        return (tokens + mixed.reshape(n, h * w, c)).transpose(1, 2).reshape(x.shape)


class Fitted(nn.Module):
    """A smaller map, enlarged, padded to the size of the first and put beside it; half of the channels are kept."""

    def __init__(self, pool: nn.Module, conv: nn.Module) -> None:
        super().__init__()
        self.pool, self.conv = pool, conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        small = F.interpolate(self.conv(self.pool(x)), scale_factor=self.pool.stride)[..., : x.shape[2], : x.shape[3]]
        rows, columns = x.shape[2] - small.shape[2], x.shape[3] - small.shape[3]
        small = F.pad(small, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return torch.cat([x, small], 1)[:, 1::2]


class Nothing(nn.Module):
    """No channel at all, put beside the map and added up onto it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :0], x], 1) + x[:, :0].sum(1, keepdim=True)


class Gate(nn.Module):
    """Scales every channel by its mean: the whole axis. Without zeros, beside which the mean has no gradient."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + 1.0) * x.mean((2, 3), keepdim=True)


class RandomDag(nn.Module):
    """Every node reads one or two earlier values: layers, sums, and concatenations halved again by a grouped 1x1."""

    def __init__(self, nodes: list[tuple[str, int, int]], channels: int) -> None:
        super().__init__()
        self.nodes = nodes
        self.layers = nn.ModuleList(
            nn.Conv2d(2 * channels, channels, 1, groups=2)
            if kind == "concat"
            else (LAYERS[kind](channels) if kind in LAYERS else nn.Identity())
            for kind, _, _ in nodes
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x * 1.0]
        for (kind, first, second), layer in zip(self.nodes, self.layers, strict=True):
            a, b = values[first % len(values)], values[second % len(values)]
            if kind == "concat":
                values.append(layer(torch.cat([a, b], 1)))
            elif kind == "add":
                values.append(layer(a + b))
            elif kind == "half":
                half = a.shape[1] // 2
                values.append(layer(torch.cat([b[:, half:].flip(3), a[:, :half].roll(1, 2)], 1)))
            else:
                values.append(layer(a * 1.0))
        return values[-1]


KINDS = [*LAYERS, "concat", "add", "half"]


@given(
    nodes=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=7,
    ),
    height=st.integers(4, 7),
    width=st.integers(4, 7),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_random_dags(nodes, height: int, width: int, data) -> None:
    check_dag(nodes, height, width, lambda size: data.draw(st.integers(0, size - 1)))


def check_dag(nodes: list[tuple[str, int, int]], height: int, width: int, draw: Callable[[int], int]) -> None:
    """The support of the gradient is the field, at three cells of a random network's output."""
    model = make_positive(RandomDag(nodes, 4))
    x = (torch.rand(1, 4, 2 * height, 2 * width, dtype=torch.float64) + 0.5).requires_grad_()
    graph = capture(model, tuple(x.shape[1:]))
    assert graph.error is None
    output = model(x)
    value, reaches = graph.outputs[0], propagate(graph)
    for _ in range(3):
        cell = (0, *(draw(size) for size in output.shape[1:]))
        (gradient,) = torch.autograd.grad(output[cell], x, retain_graph=True)
        support = (gradient[0] != 0).any(0).numpy()
        mask = walk_back(graph, value, cell).mask(graph.inputs[0])
        assert (support == mask).all(), f"{nodes} at {cell}: {mask.sum()} said, {support.sum()} found"
        check_hull(reaches, graph, value, cell, support)


@pytest.mark.long
def test_two_thousand_random_dags() -> None:
    # The table in docs/receptive-fields.md has these kinds.
    random = np.random.default_rng(0)
    for _ in range(2000):
        nodes = [
            (str(random.choice(KINDS)), *map(int, random.integers(0, 50, 2))) for _ in range(random.integers(1, 8))
        ]
        height, width = map(int, random.integers(4, 8, 2))
        check_dag(nodes, height, width, lambda size: int(random.integers(size)))


def test_paths_are_the_gradient_when_every_weight_is_one() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2, bias=False),
        nn.ConvTranspose2d(8, 2, 3, stride=2, bias=False),
    ).double()
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    x = torch.zeros(1, 3, 13, 11, dtype=torch.float64, requires_grad=True)
    output = model(x)
    graph = capture(model, (3, 13, 11))
    for cell in ((0, 0, 0, 0), (0, 1, 5, 6), (0, 1, output.shape[2] - 1, 3)):
        (gradient,) = torch.autograd.grad(output[cell], x, retain_graph=True)
        found = walk_back(graph, graph.outputs[0], cell, measure="paths").of(graph.inputs[0])
        assert (found == gradient.numpy()).all()
        share = walk_back(graph, graph.outputs[0], cell, measure="share").of(graph.inputs[0])
        assert 0 < share.sum() <= 1 + 1e-12 and ((share > 0) == (found > 0)).all()
