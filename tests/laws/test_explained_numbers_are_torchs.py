"""Law: every operation of every catalogue network, explained or re-run in NumPy, gives torch's own numbers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch

from convscope.capture.capture import capture
from convscope.errors import ConvscopeError
from convscope.graph.records import Node
from convscope.interpret.execution.numpy_executor import run_in_numpy
from convscope.interpret.execution.torch_executor import TorchExecutor, as_array
from convscope.interpret.explanation.lens import Lens
from convscope.interpret.explanation.record import Explanation
from convscope.nets.build import build
from convscope.nets.catalogue import ENTRIES
from convscope.nets.entry import Entry

# Deeper, wider or larger siblings of a network that is here anyway.
COSTLY = ("vgg13", "vgg16", "vgg19", "resnet101", "resnet152", "densenet169", "densenet201", "senet154", "unet", "c3d",
          "r3d", "alexnet-2012-one")  # fmt: skip
QUICK = [entry for entry in ENTRIES if not entry.name.startswith(COSTLY)]
LONG = [entry for entry in ENTRIES if entry not in QUICK]
SMALL = 96  # pixels to a side that are enough to have every operation
NODES, CELLS = 2, 3  # nodes of each operation, and cells of each, that are explained


def made(entry: Entry) -> tuple[torch.nn.Module, torch.Tensor]:
    """The network and an input, on small images where it takes them."""
    torch.manual_seed(0)
    shape = entry.input_shape
    if len(shape) == 3 and min(shape[1:]) > SMALL:
        try:
            return build(entry.name, image_size=SMALL).eval(), torch.randn(1, shape[0], SMALL, SMALL)
        except ConvscopeError:
            pass  # some are made for their own size alone
    return build(entry.name).eval(), torch.randn(1, *shape)


def scale_of(found: Explanation) -> float:
    """What a rounding error is relative to: the numbers that were added up, not a sum in which they cancel."""
    added = [float(np.abs(operands.contributions[operands.inside & np.isfinite(operands.contributions)]).sum())
             for operands in found.worked.operands]  # fmt: skip
    return max([abs(found.torch_value), *added, 1e-30])


def require_explained(entry: Entry) -> None:
    network, image = made(entry)
    lens = Lens(network, [image], name=entry.name)
    with torch.inference_mode():
        answer = network(image)
    assert torch.equal(lens.executor.tensor(lens.graph.outputs[0]), answer), "the executor is not the network"
    by_op: dict[str, list[Node]] = defaultdict(list)
    for node in lens.names.nodes:
        by_op[node.target].append(node)
    generator = np.random.default_rng(0)
    for nodes in by_op.values():
        for index in generator.choice(len(nodes), size=min(NODES, len(nodes)), replace=False):
            node = nodes[index]
            shape = lens.graph.shape(node.outputs[0])
            for _ in range(CELLS):
                position = tuple(int(generator.integers(size)) for size in shape)
                found = lens.at(node, position)
                assert abs(found.difference) <= 1e-6 * scale_of(found), (found.layer, position)


def require_rerun(entry: Entry) -> None:
    network, image = made(entry)
    graph = capture(network, [image], name=entry.name)
    executor = TorchExecutor(graph, network, [image], dtype=torch.float64)
    given = {value: as_array(tensor) for value, tensor in executor.known().items()}
    for node, results in run_in_numpy(graph, given):
        for value, result in zip(node.outputs, results, strict=False):
            expected = executor.array(value)
            assert result.shape == expected.shape
            assert np.abs(result - expected).max() <= 1e-10 * np.abs(expected).max(), node.target
        for value in node.inputs:
            if graph.consumers[value][-1] == node.index:
                executor.free(value)


@pytest.mark.parametrize("entry", QUICK, ids=lambda entry: entry.name)
def test_a_cell_of_every_operation(entry: Entry) -> None:
    require_explained(entry)


@pytest.mark.long
@pytest.mark.parametrize("entry", LONG, ids=lambda entry: entry.name)
def test_a_cell_of_every_operation_of_the_large_networks(entry: Entry) -> None:
    require_explained(entry)


@pytest.mark.parametrize("name", ["lenet5-1998", "alexnet-2012", "googlenet-2014", "mobilenet_v3_small", "m5"])
def test_a_network_in_numpy(name: str) -> None:
    require_rerun(next(entry for entry in ENTRIES if entry.name == name))


@pytest.mark.long
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_network_in_numpy(entry: Entry) -> None:
    require_rerun(entry)
