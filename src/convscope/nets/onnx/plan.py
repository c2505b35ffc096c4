"""The plan of an ONNX model: its nodes in order, functions replaced by their nodes, every name made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convscope.files.regular import UnreadableError
from convscope.nets.onnx import tensors
from convscope.nets.onnx.scope import scope_of
from convscope.nets.onnx.step import OnnxStep
from convscope.nets.onnx.weights import origins_of

# Functions may call functions, which multiply; a subgraph may hold a subgraph.
MOST_VALUES = 200_000
MOST_CALLS = 10_000
DEEPEST = 30
_LONGEST_NAME = 65_536
# Attributes of a Constant node, with the element type that they imply.
_NUMBERS = ("value_float", "value_floats", "value_int", "value_ints")


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file says of a value: its element type by number, and its sizes; a name or None where it is not fixed."""

    kind: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph as it is run.

    Args:
        name: the graph's.
        path: of the file; tensors outside it lie in its folder.
        inputs: what the network takes, in order.
        outputs: names of what it gives.
        steps: its nodes, each after those that it reads.
        constants: tensors of the file, by name.
        declared: what the file says of other values.
        producer: the exporter.
        origins: what it says of tensors; see `weights.WeightRule`.
    """

    name: str
    path: Path
    inputs: Mapping[str, Declared]
    outputs: tuple[str, ...]
    steps: tuple[OnnxStep, ...]
    constants: Mapping[str, Any]
    declared: Mapping[str, Declared] = field(default_factory=dict)
    producer: str = ""
    origins: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def plan_of(model: Any, *, path: Path, newest: int) -> Plan:
    """Return the plan of a parsed model.

    Args:
        model: the `ModelProto`.
        path: of its file.
        newest: the newest operator set of ONNX that is known.

    Raises:
        UnreadableError: a name is read before it is made or made twice, a tensor has not the numbers that its shape
            needs, a function calls itself, or the operator set is not known.
    """
    versions = _versions(model, newest)
    if not model.graph.node:
        raise UnreadableError("its graph is empty: it has no node")
    builder = _Builder(model, path, _Scope(), set())
    builder.add_graph_facts(model.graph)
    given = [value for value in model.graph.input if value.name not in builder.scope.names]
    inputs = {builder.scope.make(value.name, "an input", builder.made): _declared(value) for value in given}
    if not inputs:
        raise UnreadableError("its graph takes no input")
    builder.add_nodes(model.graph.node, versions)
    outputs = builder.outputs(model.graph)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return Plan(model.graph.name, path, inputs, outputs, tuple(builder.steps), builder.constants, builder.declared,
                producer, builder.origins)  # fmt: skip


def _versions(model: Any, newest: int) -> dict[str, int]:
    versions = {"" if s.domain == "ai.onnx" else s.domain: s.version for s in model.opset_import}
    version = versions.setdefault("", 1)
    if not 1 <= version <= newest:
        raise UnreadableError(
            f"of ONNX's operator set {version}: sets 1 to {newest} are known; a newer onnx may know it"
        )
    return versions


def _declared(value: Any) -> Declared:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnreadableError(
            f"its input {value.name[:80]!r} is a {(kind or 'value of no type').removesuffix('_type')}"
        )
    facts = _tensor_facts(value.type.tensor_type)
    if facts.kind and facts.kind not in tensors.TORCH_TYPES:  # 0 is none at all: taken as float32
        raise UnreadableError(f"its input {value.name[:80]!r} has elements of type {facts.kind}: no numbers here")
    return facts


def _tensor_facts(facts: Any) -> Declared:
    if not facts.HasField("shape"):
        return Declared(facts.elem_type, None)
    sizes = tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else d.dim_param or None for d in facts.shape.dim
    )
    return Declared(facts.elem_type, sizes)


@dataclass(eq=False)
class _Scope:
    """Names that a graph or a function can read, as they are in the whole plan.

    Args:
        prefix: of the names made here.
        outer: the graph around a subgraph; None for the whole graph, and for a function, which sees nothing outside.
        names: the names made here so far.
        results: what a function's results are called outside.
    """

    prefix: str = ""
    outer: _Scope | None = None
    names: dict[str, str] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> str | None:
        """Return a name in the plan; None where nothing before makes it."""
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None

    def make(self, name: str, where: str, made: set[str]) -> str:
        """Add a name. Raises UnreadableError where it is made already, or longer than any real one."""
        if len(name) > _LONGEST_NAME:
            raise UnreadableError(f"{where} has a name of {len(name):,} characters")
        unique = self.results.get(name, self.prefix + name)
        if name in self.names or unique in made:
            raise UnreadableError(f"the name {name[:80]!r} is made twice, again by {where}")
        self.names[name] = unique
        made.add(unique)
        return unique


class _Builder:
    """Steps, tensors and names of one graph while its nodes are read."""

    def __init__(self, model: Any, path: Path, scope: _Scope, made: set[str]) -> None:
        self.model = model
        self.path = path
        self.scope = scope
        self.made = made
        self.functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self.steps: list[OnnxStep] = []
        self.constants: dict[str, Any] = {}
        self.declared: dict[str, Declared] = {}
        self.origins: dict[str, str | tuple[str, ...]] = {}
        self._calls = 0

    def add_graph_facts(self, graph: Any) -> None:
        """Take the tensors of a graph, and what it says of its values."""
        if graph.sparse_initializer:
            raise UnreadableError("it has sparse tensors, which are not read")
        for proto in graph.initializer:
            tensors.check(proto)
            self.constants[self.scope.make(proto.name, "a tensor", self.made)] = proto
        self.origins.update(origins_of(graph.value_info, self.scope.prefix))
        for value in (*graph.value_info, *graph.output):
            if value.type.WhichOneof("value") == "tensor_type":
                self.declared[self.scope.prefix + value.name] = _tensor_facts(value.type.tensor_type)

    def outputs(self, graph: Any) -> tuple[str, ...]:
        """Return the names of a graph's outputs. Raises UnreadableError where it has none, or nothing makes one."""
        found = [self.scope.find(value.name) for value in graph.output]
        for value, name in zip(graph.output, found, strict=True):
            if name is None:
                raise UnreadableError(f"its output {value.name[:80]!r} is made by no node")
        if not found:
            raise UnreadableError("its graph has no output")
        return tuple(name for name in found if name is not None)

    def add_nodes(self, nodes: Iterable[Any], versions: Mapping[str, int], calls: tuple[Any, ...] = ()) -> None:
        """Add nodes in order; a call of a function of the file becomes its nodes.

        Args:
            nodes: the `NodeProto`s.
            versions: of the operator sets that they use.
            calls: the functions that are being replaced, each with its attributes.
        """
        for node in nodes:
            found = [self.scope.find(name) if name else "" for name in node.input]
            for name, known in zip(node.input, found, strict=True):
                if known is None:
                    raise UnreadableError(f"node {_label(node)} reads {name[:80]!r}, which nothing before it makes: "
                                          "a cycle, or a part is missing")  # fmt: skip
            inputs = tuple(name or "" for name in found)
            if len(self.made) > MOST_VALUES:
                raise UnreadableError(f"it has more than {MOST_VALUES:,} values")
            function = self.functions.get((node.domain, node.op_type, node.overload))
            given = calls[-1][1] if calls else {}
            attributes = {}
            for attribute in node.attribute:
                source = given.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
                if source is not None:
                    attributes[attribute.name] = source
            if function is not None:
                self._replace(function, node, inputs, attributes, calls)
            else:
                self._add_node(node, inputs, attributes, versions, calls)

    def _add_node(
        self, node: Any, inputs: tuple[str, ...], attributes: Mapping[str, Any], versions: Mapping[str, int],
        calls: tuple[Any, ...],
    ) -> None:  # fmt: skip
        domain = "" if node.domain == "ai.onnx" else node.domain
        plain = {name: self._attribute(attribute, versions, calls) for name, attribute in attributes.items()}
        outputs = tuple(name and self.scope.make(name, _label(node), self.made) for name in node.output)
        if node.op_type == "Constant" and not domain and outputs:
            self.constants[outputs[0]] = _constant(node, attributes)
        elif node.op_type == "Identity" and not domain and inputs and inputs[0] in self.constants and outputs:
            self.constants[outputs[0]] = self.constants[inputs[0]]
        else:
            scope, made_from = scope_of(node)
            self.steps.append(OnnxStep(node.op_type, domain, versions.get(domain, 1), inputs, outputs, plain, node.name,
                                   scope, made_from))  # fmt: skip

    def _replace(
        self, function: Any, node: Any, inputs: tuple[str, ...], attributes: Mapping[str, Any], calls: tuple[Any, ...]
    ) -> None:
        """Add the nodes of a function in place of its call."""
        if any(function is outer for outer, _ in calls) or len(calls) >= DEEPEST:
            raise UnreadableError(f"its function {function.name[:80]!r} calls itself, or functions nest too deeply")
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise UnreadableError(f"it calls functions more than {MOST_CALLS:,} times")
        outer = self.scope
        outputs = [name and outer.make(name, _label(node), self.made) for name in node.output]
        inside = f"{outer.prefix}{(node.name or function.name)[:80]}#{len(self.made)}/"
        self.made.difference_update(outputs)
        self.scope = _Scope(inside, None, {name: given for name, given in zip(function.input, inputs, strict=False)
                                           if given}, dict(zip(function.output, outputs, strict=False)))  # fmt: skip
        optional = [name for name in function.input if name not in self.scope.names]
        self.scope.names.update(dict.fromkeys(optional, ""))
        versions = {"" if s.domain == "ai.onnx" else s.domain: s.version for s in function.opset_import}
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        self.add_nodes(function.node, versions, (*calls, (function, {**defaults, **attributes})))
        missing = [name for name in function.output if name not in self.scope.names]
        if missing:
            raise UnreadableError(f"its function {function.name[:80]!r} does not make {missing[0][:80]!r}")
        self.scope = outer

    def _attribute(self, attribute: Any, versions: Mapping[str, int], calls: tuple[Any, ...]) -> Any:
        """Return an attribute as Python's own types; a graph as a plan, a tensor as an array."""
        kind = attribute.type
        if kind == 5:
            return self._subgraph(attribute.g, versions, calls)
        if kind == 4:
            tensors.check(attribute.t)
            return tensors.numbers(attribute.t, self.path.parent)
        if kind == 3:
            return attribute.s.decode("utf-8", "replace")
        if kind == 8:
            return tuple(item.decode("utf-8", "replace") for item in attribute.strings)
        if kind in (6, 7):
            return list(attribute.floats if kind == 6 else attribute.ints)
        return {1: attribute.f, 2: attribute.i}.get(kind)

    def _subgraph(self, graph: Any, versions: Mapping[str, int], calls: tuple[Any, ...]) -> Plan:
        inner = _Builder(self.model, self.path, _Scope(f"{graph.name[:80]}#{len(self.made)}/", self.scope), self.made)
        inner.add_graph_facts(graph)
        inputs = {inner.scope.make(value.name, "an input", self.made): Declared(0, None) for value in graph.input}
        inner.add_nodes(graph.node, versions, calls)
        return Plan(graph.name, self.path, inputs, inner.outputs(graph), tuple(inner.steps), inner.constants,
                    inner.declared)  # fmt: skip


def _constant(node: Any, attributes: Mapping[str, Any]) -> Any:
    """Return the tensor of a Constant node."""
    import numpy as np
    from onnx import numpy_helper

    for name, attribute in attributes.items():
        if name == "value":
            tensors.check(attribute.t)
            attribute.t.name = ""  # tensors of the file have one; see `network`
            return attribute.t
        if name in _NUMBERS:
            value = {"value_float": attribute.f, "value_floats": list(attribute.floats), "value_int": attribute.i,
                     "value_ints": list(attribute.ints)}[name]  # fmt: skip
            kind = np.float32 if "float" in name else np.int64
            return numpy_helper.from_array(np.array(value, dtype=kind), "")
    raise UnreadableError(f"node {_label(node)} is a constant without numbers")


def _label(node: Any) -> str:
    return f"{node.name[:80]!r} ({node.op_type[:80]})" if node.name else f"{node.op_type[:80]}"
