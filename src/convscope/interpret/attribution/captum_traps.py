"""What Captum's hooks on modules miss in a network, known from its Graph before Captum is run.

Captum changes the gradient of modules. A rectifier that is a function has no module, one that is called twice has a
hook that knows one call, and one of a class that Captum does not list keeps its plain gradient; all of it is silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convscope.errors import CaptureError
from convscope.graph.records import Graph, Node, alive_nodes

_CLAMPS = ("clamp", "clamp_min")  # rectifiers where their lower limit is 0
_RECTIFIERS = frozenset({"relu", "hardtanh", "leaky_relu", "threshold", *_CLAMPS})
_NONLINEAR = _RECTIFIERS | {
    "sigmoid", "tanh", "softplus", "elu", "softmax", "max_pool", "gelu", "silu", "hardswish", "hardsigmoid", "mish",
    "prelu", "selu", "celu",
}  # fmt: skip
# The classes of modules whose gradient Captum changes (0.9).
_GUIDED = frozenset({"ReLU"})
_DEEP_LIFT = frozenset({
    "ReLU", "ELU", "LeakyReLU", "Sigmoid", "Tanh", "Softplus", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Softmax",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Hooks:
    """What a method's hooks are for.

    Args:
        operations: whose gradient the method changes, by `Node.op`.
        modules: the classes that Captum hooks.
        called_once: whether a module that is called twice ends in an error of Captum's.
        instead: our own method of the same kind; "" where there is none.
    """

    operations: frozenset[str]
    modules: frozenset[str]
    called_once: bool = False
    instead: str = ""


_HOOKED: Mapping[str, _Hooks] = {
    "GuidedBackprop": _Hooks(operations=_RECTIFIERS, modules=_GUIDED, instead="guided-backprop"),
    "Deconvolution": _Hooks(operations=_RECTIFIERS, modules=_GUIDED),
    "DeepLift": _Hooks(operations=_NONLINEAR, modules=_DEEP_LIFT, called_once=True),
    "DeepLiftShap": _Hooks(operations=_NONLINEAR, modules=_DEEP_LIFT, called_once=True),
    "LRP": _Hooks(operations=_RECTIFIERS, modules=_GUIDED | {"Dropout", "Tanh"}, called_once=True),
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
    nodes = [node for node in graph.nodes if node.index in alive and _is_meant(node, of)]
    again = next((node for node in nodes if node.call > 0 and kinds.get(node.module)), None)
    if of.called_once and again is not None:
        raise CaptureError(
            f"captum:{method} needs a module for each call, and {again.module} is called more than once: "
            "take integrated-gradients"
        )
    seen = [node for node in nodes if _seen(node, kinds, of)]
    if len(seen) == len(nodes):
        return ()
    what = "rectifier" if of.operations is _RECTIFIERS else "nonlinear operation"
    instead = f"; take {of.instead}" if of.instead else ""
    return (
        f"Captum hooks {len(seen)} of {len(nodes)} {what}{'s' * (len(nodes) != 1)}, so this is not {method}{instead}",
    )


def _is_meant(node: Node, of: _Hooks) -> bool:
    only_limits = of.operations is _RECTIFIERS and node.op in _CLAMPS and node.arguments.get("min") != 0
    return node.op in of.operations and not only_limits


def _seen(node: Node, kinds: Mapping[str, str], of: _Hooks) -> bool:
    return kinds.get(node.module) in of.modules
