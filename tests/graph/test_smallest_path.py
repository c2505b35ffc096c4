"""The smallest path through a network: the field along the way that widens it least."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.graph.axes import sources_of
from convscope.graph.smallest_path import SmallestPaths


def sizes(network, *shape):
    """The sizes along the smallest path to the network's output."""
    graph = capture(network, shape)
    assert graph.error is None
    return SmallestPaths(graph, sources_of(graph, graph.inputs[0])).sizes(graph.outputs[0])


class Net(nn.Module):
    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.way = forward

    def forward(self, x):
        return self.way(self, x)


def conv(size, kernel, out=None, **options):
    return nn.Conv2d(size, out or size, kernel, padding=kernel // 2, **options)


def test_of_a_chain_it_is_the_field():
    chain = nn.Sequential(conv(1, 3), nn.ReLU(), nn.MaxPool2d(2), conv(1, 5))
    assert sizes(chain, 1, 32, 32) == (3 + 1 + 2 * 4,) * 2


def test_a_shortcut_is_smaller_than_the_block():
    block = Net(lambda m, x: x + m.body(x), body=nn.Sequential(conv(2, 3), nn.ReLU(), conv(2, 3)))
    assert sizes(nn.Sequential(conv(1, 3, 2), block, block, conv(2, 3)), 1, 32, 32) == (5, 5)


def test_of_channels_that_are_mixed_the_narrowest_counts():
    branches = Net(lambda m, x: torch.cat([m.wide(x), m.narrow(x)], 1), wide=conv(2, 7), narrow=conv(2, 1))
    assert sizes(nn.Sequential(branches, conv(4, 3)), 2, 32, 32) == (3, 3)
    # Groups keep the branches apart until channels are mixed over all of them.
    assert sizes(nn.Sequential(branches, conv(4, 3, groups=2)), 2, 32, 32) == (3, 3)
    halves = Net(lambda m, x: torch.cat([m.wide(x), m.wide(x)], 1), wide=conv(2, 7))
    assert sizes(nn.Sequential(halves, conv(4, 3, groups=2)), 2, 32, 32) == (9, 9)


def test_axes_are_apart():
    branches = Net(lambda m, x: m.tall(x) + m.flat(x), tall=nn.Conv2d(1, 1, (7, 1), padding=(3, 0)),
                   flat=nn.Conv2d(1, 1, (1, 5), padding=(0, 2)))  # fmt: skip
    assert sizes(branches, 1, 32, 32) == (1, 1)


def test_gates_and_statistics_are_left_out():
    gate = Net(lambda m, x: x * m.weigh(x.mean((2, 3), keepdim=True)).sigmoid(), weigh=nn.Conv2d(2, 2, 1))
    assert sizes(nn.Sequential(conv(1, 3, 2), nn.GroupNorm(1, 2), gate, conv(2, 3)), 1, 32, 32) == (5, 5)


def test_resnet_has_the_path_of_its_shortcuts():
    """The stem's 7x7 and pooling read 11 pixels; every block after it has a way around its 3x3 convolutions."""
    from convscope.nets.build import build

    graph = capture(lambda: build("resnet18"), (3, 224, 224))
    paths = SmallestPaths(graph, sources_of(graph, graph.inputs[0]))
    last = [node for node in graph.nodes if node.op == "convolution"][-1]
    assert paths.sizes(last.outputs[0]) == (11 + 2 * 2 * 32,) * 2  # two of 3x3 in steps of 32 pixels


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_minimum_over_all_paths(seed):
    """Random blocks of kernels, sums and concatenations against the paths written out one by one."""
    draw = np.random.default_rng(seed)
    blocks, paths, stride = [], [1], 1
    for _ in range(draw.integers(2, 5)):
        branches = []
        grown = []
        for _ in range(draw.integers(1, 4)):
            kernels = draw.choice([1, 3, 5], size=draw.integers(0, 3))
            dilation = int(draw.integers(1, 3))
            branches.append(nn.Sequential(*(
                nn.Conv2d(2, 2, int(k), padding=int(k) // 2 * dilation, dilation=dilation) for k in kernels
            )))  # fmt: skip
            grown.append(stride * dilation * int(sum(k - 1 for k in kernels)))
        joined = draw.choice(["add", "cat"])
        merge = nn.Conv2d(2 * len(branches), 2, 1) if joined == "cat" else nn.Identity()
        pool = nn.MaxPool2d(2) if draw.random() < 0.5 else nn.Identity()
        blocks.append(Net(
            (lambda m, x: m.pool(m.merge(torch.cat([b(x) for b in m.branches], 1)))) if joined == "cat"
            else (lambda m, x: m.pool(m.merge(sum(b(x) for b in m.branches)))),
            branches=nn.ModuleList(branches), merge=merge, pool=pool,
        ))  # fmt: skip
        paths = [path + more for path in paths for more in grown]
        if isinstance(pool, nn.MaxPool2d):
            paths, stride = [path + stride for path in paths], stride * 2
    assert sizes(nn.Sequential(*blocks), 2, 64, 64) == (min(paths),) * 2
