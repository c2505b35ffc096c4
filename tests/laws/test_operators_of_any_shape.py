"""Every operator with a rule, called with axes of 0 and 1 and settings at random: where torch takes a call, so do we.

The results have torch's shapes, and the steps that are recorded lead from each tensor's shape to a result's.
"""

from collections import Counter

import pytest

from convscope.capture.capture import capture
from convscope.capture.operators import RULES, elementwise
from convscope.geometry.relation import shape_after
from convscope.graph.records import Graph, TensorSpec
from dependence import Function
from operator_calls import CallDraw, overloads

# What torch keeps for devices that are not here, or calls only after capture, with tensors that have numbers.
ELSEWHERE = {
    "convolution_overrideable", "mkldnn_convolution", "_slow_conv2d_forward", "thnn_conv2d", "slow_conv3d_forward",
    "_conv_depthwise2d", "conv_depthwise3d", "mkldnn_max_pool2d", "masked_select", "nonzero", "tanhshrink",
    "_adaptive_avg_pool1d", "view.dtype", "_conj", "imag", "view_as_real_copy", "to",
    "torchvision::deform_conv2d", "torchvision::nms", "torchvision::roi_align", "unknown_node",
    "_unique", "_unique2", "unique_dim", "unique_consecutive",
}  # fmt: skip


def check(draw: CallDraw) -> bool:
    """Return whether torch takes the call; then it is captured with torch's shapes and steps that fit."""
    specs = [TensorSpec(tuple(t.shape), "float32") for t in draw.floats]
    expected = draw.shapes()
    if not specs:
        return expected is not None
    graph = capture(Function(draw.forward), specs)  # raises nothing, whatever the call
    if expected is None:
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
    return True


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
    taken = Counter(name for name, function in overloads() if name not in ALIKE and check(CallDraw(function, 0)))
    assert len(taken) > 100


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_many_calls_of_every_rule() -> None:
    taken = Counter(name for name, function in overloads() for seed in range(40) if check(CallDraw(function, seed)))
    assert set(RULES) - set(taken) <= ELSEWHERE
