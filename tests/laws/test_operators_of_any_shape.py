"""Every operator with a rule, called with axes of 0 and 1 and settings at random: where torch takes a call, so do we.

The results have torch's shapes, and the steps that are recorded lead from each tensor's shape to a result's.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

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
from dependence import Function, recorded
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


# Nothing is read of these, or the strides are beside the shapes; torch's kernel resizes a map of one column by its
# first row alone where corners are aligned; running statistics made anew are of the old ones.
APART = {"empty_like", "new_empty", "new_empty_strided", "reshape_alias", "upsample_bilinear2d_aa",
         "upsample_bicubic2d_aa", "native_batch_norm_legit_functional"}  # fmt: skip
WITHOUT_GRADIENT = {"normal", "bernoulli", "multinomial", "renorm", "argsort", "argmax", "median", "mode", "kthvalue",
                    "scatter", "index_add", "index_copy", "gather", "topk"}  # fmt: skip


def changed(draw: CallDraw, floats: Sequence[torch.Tensor], which: int) -> list[np.ndarray]:
    """Which elements of each result change with which element of one tensor: (result elements, tensor elements)."""

    def run(points: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        torch.manual_seed(0)
        return [one.clone() for one in leaves([draw.forward(*(point.clone() for point in points))])]

    results = run(floats)
    found = [np.zeros((one.numel(), floats[which].numel()), dtype=bool) for one in results]
    for element in range(floats[which].numel()):
        for number in (0.0, 0.01, 0.99, 3.7, -2.3):
            points = [point.clone() for point in floats]
            points[which].view(-1)[element] = number
            with contextlib.suppress(RuntimeError):  # a probability above 1, a deviation below 0
                for before, after, changes in zip(results, run(points), found, strict=True):
                    if before.shape == after.shape:
                        same = (before == after) | (before.isnan() & after.isnan())
                        changes[:, element] |= ~same.reshape(-1).numpy()
    return found


def check_dependence(draw: CallDraw) -> bool:
    """No element of a result changes with one that its rule does not read; returns whether torch takes the call."""
    floats = draw.floats
    if not 0 < sum(one.numel() for one in floats) <= 200 or not draw.shapes():
        return False
    graph = capture(Function(draw.forward), [TensorSpec(tuple(t.shape), "float32") for t in floats])
    if graph.error is not None or any(node.paths is None for node in graph.nodes):
        return False
    for which, source in enumerate(graph.inputs):
        try:
            found = changed(draw, floats, which)
        except RuntimeError:  # refused with numbers alone
            return False
        # With numbers torch makes other results than without of a few calls, such as logarithms of sums for attention.
        if len(found) != len(graph.outputs):
            return False
        for output, changes in zip(graph.outputs, found, strict=True):
            if changes.size and changes.shape[0] == graph.values[output].spec.elements:
                assert not (changes & ~recorded(graph, output, source)).any(), (draw.function, draw.arguments, which)
    return True


@pytest.mark.filterwarnings("ignore")
def test_results_that_no_gradient_shows_change_with_what_their_rules_read() -> None:
    draws = [CallDraw(function, seed) for _, function in overloads() for seed in range(3)
             if function._schema.name.removeprefix("aten::").strip("_") in WITHOUT_GRADIENT]  # fmt: skip
    assert sum(map(check_dependence, draws)) > 20


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_no_result_changes_with_what_its_rule_does_not_read() -> None:
    draws = (CallDraw(function, seed) for _, function in overloads() for seed in range(6))
    taken = [check_dependence(draw) for draw in draws if draw.name not in APART | ENDS_THE_PROCESS]
    assert sum(taken) > 1000
