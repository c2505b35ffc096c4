"""The Graph: what a network computed when it ran once, as plain records with no torch.

Every lens (table, receptive fields, memory, warnings, the explained cell, the NumPy re-execution) reads these
records; none computes a size again. Values are tensors, in the order in which they came to be; nodes are operations,
in the order in which they ran, so a producer is always before its consumers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Literal

import numpy as np
import numpy.typing as npt

from convscope.geometry.relation import ReachStatus, RelationStep
from convscope.geometry.window import Window
from convscope.report.short_repr import ShortRepr
from convscope.report.units import plural

ValueKind = Literal["input", "parameter", "buffer", "constant", "activation"]

BYTES_PER_ELEMENT: Mapping[str, int] = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex64": 8, "complex128": 16,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "complex32": 4, "float8_e4m3fn": 1, "float8_e4m3fnuz": 1, "float8_e5m2": 1, "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and element type of a tensor.

    >>> TensorSpec((1, 64, 112, 112), "float32").bytes
    3211264
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        """Numbers in the tensor."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the tensor's elements; unknown element types count as 4."""
        return self.elements * BYTES_PER_ELEMENT.get(self.dtype, 4)


@dataclass(frozen=True, slots=True, repr=False)
class Value(ShortRepr):
    """One tensor. In-place operations make a new Value with the same `storage`; views share it too.

    Args:
        index: position in `Graph.values`.
        spec: shape and element type.
        kind: where it comes from.
        name: "input" or the argument's name, a parameter's or buffer's qualified name, or "module:op" for activations.
        producer: index of the node that made it; None for inputs, parameters, buffers and constants.
        storage: which memory it lives in; values with equal `storage` share it.
    """

    index: int
    spec: TensorSpec
    kind: ValueKind
    name: str
    producer: int | None
    storage: int


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor among a node's arguments, by its value's index."""

    value: int


# What a node's argument can be: JSON's types, and references to values.
Argument = None | bool | int | float | str | Ref | tuple["Argument", ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Path(ShortRepr):
    """How one output of a node depends on one of its inputs.

    Args:
        source: the input value's index in the graph.
        output: the output value's index in the graph.
        steps: the relation from the source's positions to the output's; empty is the identity.
        status: EXACT, or DATA_DEPENDENT where values decide which positions are read.
    """

    source: int
    output: int
    steps: tuple[RelationStep, ...] = ()
    status: ReachStatus = ReachStatus.EXACT


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node(ShortRepr):
    """One operation as it ran.

    Args:
        index: position in `Graph.nodes`.
        op: the field's name: "convolution", "max_pool", "batch_norm", "relu", "linear", "add", "concat", ...
        target: the dispatcher's name, such as "aten.convolution.default".
        module: path of the innermost module that ran it; "" is the model itself.
        call: which call of that module this was, from 0; a module used twice has calls 0 and 1.
        inputs: values read, in the order of the operator's schema.
        outputs: values made.
        arguments: every argument by its schema's name, tensors as `Ref`.
        paths: how outputs depend on inputs (activations only, never weights); None when the operator is unknown.
        macs: multiply-adds of this call as it ran (the whole batch); None when it can't be counted.
        formula: how `macs` comes about, with the numbers filled in; "" when there are none.
        windows: one Window per spatial axis for convolutions and poolings, in the order of the axes.
        groups: channel groups of a convolution, 1 elsewhere.
        saved: values that autograd keeps for the backward pass, when that was recorded.
        detached: the arguments that the forward pass detached, through which no gradient passes: "other" by name, a
            tensor of a list by its place, "tensors.1".
    """

    index: int
    op: str
    target: str
    module: str
    call: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arguments: Mapping[str, Argument]
    paths: tuple[Path, ...] | None
    macs: int | None
    formula: str = ""
    windows: tuple[Window, ...] = ()
    groups: int = 1
    saved: tuple[int, ...] = ()
    detached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class ModuleRecord(ShortRepr):
    """One module of the tree: its path, its class, how often it was called, and whether the class is torch's own."""

    path: str
    kind: str
    calls: int
    library: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class ParameterRecord(ShortRepr):
    """One parameter or buffer: `names` are all the paths that reach it, the first one first.

    Args:
        names: qualified names; more than one when it is shared.
        spec: shape and element type.
        trainable: a parameter that asks for a gradient.
        buffer: a buffer rather than a parameter.
        used: whether the forward pass read it.
    """

    names: tuple[str, ...]
    spec: TensorSpec
    trainable: bool
    buffer: bool
    used: bool


@dataclass(frozen=True, slots=True, repr=False)
class StrayModule(ShortRepr):
    """Modules of one class whose parameters ran and are not among the model's.

    Args:
        where: path of the module whose forward pass ran them.
        kind: their class; "Parameter" for tensors that no module holds.
        elements: of their parameters.
    """

    where: str
    kind: str
    elements: int


@dataclass(frozen=True, eq=False, repr=False)
class Graph(ShortRepr):
    """A network as it ran once on inputs of these shapes.

    Args:
        name: what the user called the model.
        values: every tensor.
        nodes: every operation, in the order in which they ran.
        modules: the module tree, in registration order, the model itself ("") first.
        parameters: parameters and buffers, shared ones once.
        inputs: the model's input tensors.
        outputs: the model's output tensors, nested ones flattened.
        notes: remarks on how it was captured.
        constants: the numbers of constants that no node makes, by value, where they are known.
        error: why the forward pass stopped early, with shapes; None when it finished.
        read: values that Python took the numbers of, or that something still holds after the forward pass.
        strays: modules that ran and whose parameters are not among the model's.
    """

    name: str
    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    modules: tuple[ModuleRecord, ...]
    parameters: tuple[ParameterRecord, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    error: str | None = None
    notes: tuple[str, ...] = field(default=())
    constants: Mapping[int, npt.NDArray[np.generic]] = field(default_factory=dict)
    read: tuple[int, ...] = ()
    strays: tuple[StrayModule, ...] = ()

    def headline(self) -> str:
        """Return the name, and how much the graph holds."""
        inputs = " and ".join("×".join(map(str, self.shape(value))) for value in self.inputs)
        failed = ", the forward pass failed" if self.error else ""
        parameters = plural(self.parameter_count, "parameter")
        return f"{self.name} on {inputs}: {plural(len(self.nodes), 'node')}, {parameters}{failed}"

    def shape(self, value: int) -> tuple[int, ...]:
        """Return the shape of a value."""
        return self.values[value].spec.shape

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """Value index -> the nodes that read it, in order."""
        readers: dict[int, list[int]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                readers.setdefault(value, []).append(node.index)
        return {value: tuple(nodes) for value, nodes in readers.items()}

    def nodes_of(self, module: str) -> Iterator[Node]:
        """Return the operations that ran inside a module, submodules included, in order."""
        prefix = f"{module}." if module else ""
        return (n for n in self.nodes if n.module == module or n.module.startswith(prefix))

    @property
    def parameter_count(self) -> int:
        """Elements of all parameters, shared ones once, buffers left out."""
        return sum(p.spec.elements for p in self.parameters if not p.buffer)

    @property
    def buffer_count(self) -> int:
        """Elements of all buffers."""
        return sum(p.spec.elements for p in self.parameters if p.buffer)

    @property
    def macs(self) -> int:
        """Multiply-adds of everything that can be counted; see `uncounted` for the rest."""
        return sum(node.macs or 0 for node in self.nodes)

    @property
    def uncounted(self) -> tuple[Node, ...]:
        """Operations whose MACs are not known; they are listed, never taken as 0."""
        return tuple(node for node in self.nodes if node.macs is None)


def reached_values(graph: Graph) -> list[bool]:
    """Return, for every value of a graph, whether it depends on an input."""
    reached = [value.kind == "input" for value in graph.values]
    for node in graph.nodes:
        if any(reached[value] for value in node.inputs):
            for output in node.outputs:
                reached[output] = True
    return reached


def alive_nodes(graph: Graph, *, also: Iterable[int] = ()) -> frozenset[int]:
    """Return the nodes on a way to an output; all of them where the forward pass stopped before it had any.

    Args:
        graph: a captured network.
        also: further values that count as outputs.
    """
    if not graph.outputs:
        return frozenset(range(len(graph.nodes)))
    wanted = {*graph.outputs, *also}
    kept = {value.storage for value in graph.values if value.kind in ("buffer", "parameter")}
    alive: set[int] = set()
    for node in reversed(graph.nodes):
        written = any(graph.values[output].storage in kept for output in node.outputs)
        if written or any(output in wanted for output in node.outputs):
            alive.add(node.index)
            wanted.update(node.inputs)
    return frozenset(alive)
