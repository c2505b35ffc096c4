"""What Captum's hooks on modules miss in a network, known from its Graph before Captum is run.

Captum changes the gradient of modules. A rectifier that is a function has no module, one that is called twice has a
hook that knows one call, and one of a class that Captum does not list keeps its plain gradient; all of it is silent. So
is a sum of branches in layer-wise relevance propagation, each of which gets all of the relevance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convscope.errors import CaptureError
from convscope.graph.records import Graph, Node, alive_nodes
from convscope.interpret.replay.masked_rectifiers import masked_rectifiers
from convscope.report.units import plural

_LIMITS = {"clamp": "min", "clamp_min": "min", "hardtanh": "min_val"}  # rectifiers where this limit is 0
_RECTIFIERS = frozenset({"relu", "leaky_relu", "prelu", "rrelu", "rrelu_with_noise", "threshold", *_LIMITS})
_NONLINEAR = _RECTIFIERS | {
    "sigmoid", "tanh", "softplus", "elu", "softmax", "max_pool", "gelu", "silu", "hardswish", "hardsigmoid", "mish",
    "selu", "celu",
}  # fmt: skip
# Relevance is divided among what they read by a rule of their own. Without a rule it goes on by the gradient, which
# gives all of it to each term of a sum. A ReLU and a max pooling need none: their gradient divides it as a rule does.
_DIVIDING = frozenset({
    "convolution", "transposed_convolution", "linear", "matmul", "mm", "bmm", "batch_norm", "layer_norm", "group_norm",
    "add", "sub", "mul", "div", "mean", "sum", "avg_pool", "adaptive_avg_pool",
    *(_NONLINEAR - {"relu", "max_pool", "clamp_min"}),
})  # fmt: skip
# The classes of modules whose gradient Captum changes (0.9).
_GUIDED = frozenset({"ReLU"})
_DEEP_LIFT = frozenset({
    "ReLU", "ELU", "LeakyReLU", "Sigmoid", "Tanh", "Softplus", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Softmax",
})  # fmt: skip
_RELEVANCE = frozenset({
    "Conv2d", "Linear", "AvgPool2d", "AdaptiveAvgPool2d", "BatchNorm2d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "ReLU",
    "Tanh",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Hooks:
    """What a method's hooks are for.

    Args:
        operations: whose gradient the method changes, by `Node.op`.
        modules: the classes that Captum hooks.
        what: one of the operations, and several of them, in words.
        called_once: whether a module that is called twice ends in an error of Captum's.
        instead: our own method of the same kind; "" where there is none.
    """

    operations: frozenset[str]
    modules: frozenset[str]
    what: tuple[str, str] = ("rectifier", "rectifiers")
    called_once: bool = False
    instead: str = ""


_IN_DEEP_LIFT = ("nonlinear operation", "nonlinear operations")
_HOOKED: Mapping[str, _Hooks] = {
    "GuidedBackprop": _Hooks(operations=_RECTIFIERS, modules=_GUIDED, instead="guided-backprop"),
    "Deconvolution": _Hooks(operations=_RECTIFIERS, modules=_GUIDED),
    "DeepLift": _Hooks(operations=_NONLINEAR, modules=_DEEP_LIFT, what=_IN_DEEP_LIFT, called_once=True),
    "DeepLiftShap": _Hooks(operations=_NONLINEAR, modules=_DEEP_LIFT, what=_IN_DEEP_LIFT, called_once=True),
    "LRP": _Hooks(
        operations=_DIVIDING,
        modules=_RELEVANCE,
        what=("operation that divides relevance", "operations that divide relevance"),
        called_once=True,
    ),
}


def traps(method: str, graph: Graph) -> tuple[str, ...]:
    """Return remarks on what a method of Captum misses in a network; none for methods without hooks.

    Raises:
        CaptureError: a module is called twice, where the method needs one for each call.

    >>> from torch import nn, randn
    >>> from convscope.capture.capture import capture
    >>> traps("GuidedBackprop", capture(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU6()), randn(1, 1, 5, 5)))
    ('Captum hooks 0 of 1 rectifier, so this is not GuidedBackprop; take guided-backprop',)
    >>> traps("Saliency", capture(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU6()), randn(1, 1, 5, 5)))
    ()
    """
    if method not in _HOOKED:
        return ()
    of, alive = _HOOKED[method], alive_nodes(graph)
    kinds = {module.path: module.kind for module in graph.modules if module.library}
    masked = set(masked_rectifiers(graph)) if of.operations is _RECTIFIERS else set[int]()
    nodes = [
        node for node in graph.nodes
        if node.index in alive and (_is_meant(node, of) or not masked.isdisjoint(node.outputs))
    ]  # fmt: skip
    hooked = [node for node in graph.nodes if node.index in alive and _seen(node, kinds, of)]
    again = next((node for node in (*nodes, *hooked) if node.call > 0 and kinds.get(node.module)), None)
    if of.called_once and again is not None:
        raise CaptureError(
            f"captum:{method} needs a module for each call, and {again.module} is called more than once: "
            "take integrated-gradients"
        )
    seen = [node for node in nodes if _seen(node, kinds, of)]
    if len(seen) == len(nodes):
        return ()
    instead = f"; take {of.instead}" if of.instead else ""
    return (f"Captum hooks {len(seen)} of {plural(len(nodes), *of.what)}, so this is not {method}{instead}",)


def _is_meant(node: Node, of: _Hooks) -> bool:
    limit = _LIMITS.get(node.op)
    only_limits = of.operations is _RECTIFIERS and limit is not None and node.arguments.get(limit) != 0
    return node.op in of.operations and not only_limits


def _seen(node: Node, kinds: Mapping[str, str], of: _Hooks) -> bool:
    return kinds.get(node.module) in of.modules
