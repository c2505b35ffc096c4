"""Run a Graph in NumPy: any captured network, by the functions of `reference`, in float64.

An operator is looked up by its ATen name; one that is in no table is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.errors import CaptureError
from convscope.graph.records import Argument, Graph, Node, Ref
from convscope.interpret.execution.numpy_arrays import ARRAY_OPERATORS, NumpyOperator
from convscope.interpret.execution.numpy_elementwise import ELEMENTWISE_OPERATORS
from convscope.interpret.execution.numpy_layers import LAYER_OPERATORS

_ELEMENTS: Mapping[str, type[np.generic]] = {"int64": np.int64, "int32": np.int64, "bool": np.bool_, "uint8": np.uint8}

NUMPY_OPERATORS: Mapping[str, NumpyOperator] = {**LAYER_OPERATORS, **ARRAY_OPERATORS, **ELEMENTWISE_OPERATORS}


def run_in_numpy(graph: Graph, given: Mapping[int, Array]) -> Iterator[tuple[Node, list[Array]]]:
    """Run every node in order, and give it with its results.

    Args:
        graph: a captured network.
        given: the inputs, parameters, buffers and constants, by value.

    Raises:
        CaptureError: an operator that we have no NumPy for.
    """
    arrays = dict(given)
    last_use = {value: node.index for node in graph.nodes for value in node.inputs}
    for node in graph.nodes:
        results = [] if reads_left_out(graph, node, arrays) else run_node(graph, node, arrays)
        arrays.update(zip(node.outputs, results, strict=False))
        yield node, results
        for value in node.inputs:
            if last_use[value] == node.index:
                arrays.pop(value, None)


def run_node(graph: Graph, node: Node, arrays: Mapping[int, Array]) -> list[Array]:
    """Return the results of one node; the masks and indices that some operators give besides are left out.

    Raises:
        CaptureError: an operator that we have no NumPy for, or numbers that it can't be run on.
    """
    where = node.module or "the model"
    rule = operator_of(node)
    if rule is None:
        raise CaptureError(f"{where}: there is no NumPy for {node.target}")
    specs = [graph.values[value].spec for value in node.outputs]
    if specs and all(0 in spec.shape for spec in specs):
        # Nothing is computed, and NumPy has reductions and reshapes that refuse to.
        return [np.zeros(spec.shape, _ELEMENTS.get(spec.dtype, np.float64)) for spec in specs]
    try:
        result = rule({name: resolved(argument, arrays) for name, argument in node.arguments.items()})
    except (IndexError, TypeError, ValueError, ArithmeticError) as problem:  # shapes alone do not show all it asks
        cause = (str(problem).splitlines() or [""])[0]
        raise CaptureError(f"{where}: {node.op} does not run in NumPy: {cause}") from problem
    return result if isinstance(result, list) else [result]


def reads_left_out(graph: Graph, node: Node, arrays: Mapping[int, Array]) -> bool:
    """Return whether a node reads a mask or an index that was left out; then it is left out as well."""
    return any(value not in arrays and graph.values[value].producer is not None for value in node.inputs)


def operator_of(node: Node) -> NumpyOperator | None:
    """Return the NumPy of a node's operator, or None."""
    return NUMPY_OPERATORS.get(aten_name(node))


def aten_name(node: Node) -> str:
    """Return the operator's name without namespace, overload and the underscore of an in-place form.

    Bits read as another type are another operation than a view: "view.dtype".
    """
    if node.target == "aten.view.dtype":
        return "view.dtype"
    namespace, name, _ = node.target.split(".")
    name = name if name.endswith("__") else name.removesuffix("_")
    return name if namespace == "aten" else f"{namespace}::{name}"


def resolved(argument: Argument, arrays: Mapping[int, Array]) -> Any:
    """Return an argument with its tensors in place."""
    if isinstance(argument, Ref):
        return arrays[argument.value]
    return tuple(resolved(item, arrays) for item in argument) if isinstance(argument, tuple) else argument
