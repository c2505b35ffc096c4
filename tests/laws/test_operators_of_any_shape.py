"""Every operator with a rule, called with axes of 0 and 1 and settings at random: where torch takes a call, so do we.

The results have torch's shapes, and the steps that are recorded lead from each tensor's shape to a result's.
"""

import contextlib
from collections import Counter

import pytest

from convscope import audit
from convscope.capture.capture import capture
from convscope.capture.operators import RULES, elementwise
from convscope.errors import ConvscopeError
from convscope.geometry.relation import shape_after
from convscope.graph.axes import value_axes
from convscope.graph.propagate import propagate
from convscope.graph.reach_walk import walk_back
from convscope.graph.receptive_field import summarise_all
from convscope.graph.records import Graph, TensorSpec
from convscope.interpret.explanation.lens import Lens
from dependence import Function
from operator_calls import CallDraw, leaves, overloads

# What torch keeps for devices that are not here, or calls only after capture, with tensors that have numbers.
ELSEWHERE = {
    "convolution_overrideable", "mkldnn_convolution", "_slow_conv2d_forward", "thnn_conv2d", "slow_conv3d_forward",
    "_conv_depthwise2d", "conv_depthwise3d", "mkldnn_max_pool2d", "masked_select", "nonzero", "tanhshrink",
    "_adaptive_avg_pool1d", "view.dtype", "_conj", "imag", "view_as_real_copy", "to",
    "torchvision::deform_conv2d", "torchvision::nms", "torchvision::roi_align", "unknown_node",
    "_sparse_addmm", "_unique", "_unique2", "unique_dim", "unique_consecutive",
}  # fmt: skip

# Torch's own kernels, called directly, divide by a size of 0.
ENDS_THE_PROCESS = {"scaled_dot_product_flash_attention_for_cpu", "weight_norm_interface"}


def check(draw: CallDraw, *, numbers: bool = True) -> bool:
    """Return whether torch takes the call; then it is captured with torch's shapes and steps that fit."""
    specs = [TensorSpec(tuple(t.shape), "float32") for t in draw.floats]
    expected = draw.shapes()
    if not specs:
        return expected is not None
    graph = capture(Function(draw.forward), specs)  # raises nothing, whatever the call
    if not expected:  # torch refuses, or makes no tensor, as of an axis of 0 that is taken apart
        return False
    if graph.error is not None:
        # Without numbers torch takes some calls that it refuses with them: a convolution of a map without pixels.
        with pytest.raises(RuntimeError):
            raise AssertionError(graph.error, draw.function, draw.forward(*draw.floats))
        return False
    outputs = [graph.shape(value) for value in graph.outputs]
    # Batch normalization saves statistics in training alone; torch names their shape without numbers all the same.
    compared = 1 if "batch_norm" in draw.name else len(expected)
    assert outputs[:compared] == expected[:compared], (draw.function, draw.arguments)
    check_steps(graph)
    check_reach(graph)
    if numbers:
        check_numbers(draw)
    return True


def check_reach(graph: Graph) -> None:
    """Fields are found, and walks back end, whatever the shapes."""
    values = [(value, axis) for value in graph.inputs for axis in range(len(graph.shape(value)))]
    summarise_all(propagate(graph, sources=values))
    summarise_all(propagate(graph, sources=values, local=True))
    for output in graph.outputs:
        value_axes(graph, output)
        if 0 not in graph.shape(output):
            walk_back(graph, output, (0,) * len(graph.shape(output)))


def check_numbers(draw: CallDraw) -> None:
    """A number is worked out, and the numbers are audited, or one line says why not."""
    if draw.name in ENDS_THE_PROCESS:
        return
    model = Function(lambda *floats: [one for one in leaves([draw.forward(*floats)]) if one.is_floating_point()])
    with contextlib.suppress(ConvscopeError):
        audit(model, input_shape=draw.floats)
    with contextlib.suppress(ConvscopeError):
        lens = Lens(model, draw.floats)
        for output in lens.graph.outputs:
            if 0 not in lens.graph.shape(output):
                lens.number(output, (0,) * len(lens.graph.shape(output))).document(None)


def check_steps(graph: Graph) -> None:
    for node in graph.nodes:
        for path in node.paths or ():
            shape = graph.shape(path.source)
            for step in path.steps:
                shape = shape_after(step, shape)
            assert shape == graph.shape(path.output), (node.target, path)


ALIKE = {name for name, rule in RULES.items() if rule in (elementwise.pointwise, elementwise.RULES["zero"])}


@pytest.mark.filterwarnings("ignore")
def test_a_call_of_every_rule_but_the_elementwise() -> None:
    functions = [(name, function) for name, function in overloads() if name not in ALIKE]
    taken = Counter(
        name for i, (name, function) in enumerate(functions) if check(CallDraw(function, 0), numbers=i % 8 == 0)
    )
    assert len(taken) > 100


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_many_calls_of_every_rule() -> None:
    taken = Counter(
        name
        for name, function in overloads()
        for seed in range(40)
        if check(CallDraw(function, seed), numbers=seed < 6)
    )
    assert set(RULES) - set(taken) <= ELSEWHERE
