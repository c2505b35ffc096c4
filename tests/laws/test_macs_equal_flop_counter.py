"""Our MACs are half of what torch's FlopCounterMode counts, on every network of the catalogue and some of timm's."""

from math import prod

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from catalogue_facts import facts, network_on_meta
from convscope.capture.build import build_without_memory
from convscope.capture.capture import capture
from convscope.capture.load import load
from convscope.nets import catalogue
from dependence import Function
from torchvision_oracle import timm_or_skip


def half_of_flop_counter(model, *shapes):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.to("meta").eval()(*(torch.empty(shape, device="meta") for shape in shapes))
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("name", catalogue.names())
def test_on_the_catalogue(name):
    graph = facts(name).graph
    assert graph.error is None
    assert graph.uncounted == ()
    assert graph.macs == half_of_flop_counter(network_on_meta(name), (1, *catalogue.find(name).input_shape))


@pytest.mark.parametrize("name", ["efficientnet_b0", "coat_lite_tiny", "mobilevit_xxs", "convmixer_768_32"])
def test_on_timm(name):
    timm_or_skip()
    loaded = load(f"timm/{name}")
    model = build_without_memory(loaded.factory)
    graph = capture(model, loaded.input_shape)
    assert graph.macs == half_of_flop_counter(model, (1, *loaded.input_shape))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_on_convolutions(kind, dimensions, groups):
    shape = (2, 4, *(7, 6, 5)[:dimensions])
    layer = getattr(nn, f"{kind}{dimensions}d")(4, 8, 3, stride=2, padding=1, groups=groups)
    assert capture(layer, shape[1:], batch_size=2).macs == half_of_flop_counter(layer, shape)


def gradients(grad, x, shape, transposed=False):
    """The gradients of a convolution by its input and its weight."""
    x, weight = x.to(grad.device), torch.ones(shape, device=grad.device)
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, [2, 2], [1, 1], [1, 1], transposed, [int(transposed)] * 2, 1, [True, True, False]
    )[:2]


PRODUCTS = {
    "matrices": (lambda x: x[0] @ x[1].t(), (2, 3, 4)),
    "batches": (lambda x: x @ x.transpose(1, 2), (2, 3, 4)),
    "einsum": (lambda x: torch.einsum("bik,bjk->bij", x, x), (2, 3, 4)),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x), (2, 4, 5, 8)),
    "gradients of a convolution": (lambda x: gradients(x, torch.ones(2, 3, 9, 8), (4, 3, 3, 3)), (2, 4, 5, 4)),
    "gradients of a transposed one": (
        lambda x: gradients(x, torch.ones(2, 4, 4, 3), (4, 2, 3, 3), transposed=True), (2, 2, 8, 6)),
    "added": (lambda x: torch.baddbmm(x @ x.transpose(1, 2), x, x.transpose(1, 2)), (2, 3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("case", PRODUCTS)
def test_on_products(case):
    function, shape = PRODUCTS[case]
    model = Function(function)
    assert capture(model, shape, batch_size=None).macs == half_of_flop_counter(model, shape)


def test_the_formula_works_out():
    loaded = load("googlenet")
    graph = capture(build_without_memory(loaded.factory), loaded.input_shape)
    for node in graph.nodes:
        if node.macs:
            assert prod(map(int, node.formula.split(" · "))) == node.macs
