"""Build the Graph of a capture: its values and nodes, in the order in which they ran."""

from __future__ import annotations

from typing import Any

from convscope.capture.recording.aliasing import Memory, Signature, Tracked
from convscope.capture.recording.module_calls import ModuleCall
from convscope.capture.recording.numbers import Numbers
from convscope.capture.recording.schema import describe, plain
from convscope.capture.recording.templates import Template
from convscope.graph.records import Argument, Node, Path, Ref, Value, ValueKind


class GraphBuilder:
    """Values and nodes in order, and which values depend on the model's input.

    `numbers` computes the values that do not.
    """

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.numbers = Numbers()
        self.detached: tuple[str, ...] = ()  # of the operation that runs, see `Node.detached`
        self._reached: list[bool] = []
        self._memories = 0

    def new_memory(self) -> Memory:
        """Return a new piece of memory."""
        self._memories += 1
        return Memory(self._memories - 1)

    def add_value(self, signature: Signature, kind: ValueKind, name: str, memory: Memory) -> int:
        """Add a value that no operation makes (input, parameter, buffer, constant), and return its index."""
        index = len(self.values)
        self.values.append(Value(index, signature.spec, kind, name, None, memory.index))
        self._reached.append(kind == "input")
        return index

    def add_node(
        self,
        func: Any,
        settings: dict[str, Any],
        operands: list[Tracked],
        template: Template,
        memories: list[Memory],
        place: ModuleCall,
        made: list[Signature] | None = None,
    ) -> list[int]:
        """Add a node and the values that it makes, in these memories, and return their indices."""
        rule = template.rule
        inputs = tuple(t.value for t in operands)
        reached = any(self._reached[v] for v in inputs)
        known = not reached and all(v in self.numbers for v in inputs)
        index, first = len(self.nodes), len(self.values)
        name = f"{place.path}:{rule.op}" if place.path else rule.op
        kind: ValueKind = "constant" if known else "activation"
        for slot, (signature, memory) in enumerate(zip(made or template.made, memories, strict=True)):
            self.values.append(Value(first + slot, signature.spec, kind, name, index, memory.index))
            self._reached.append(reached)
            if known:
                self.numbers.derive(first + slot, func, by_reference(settings), slot)
        arguments: dict[str, Argument] = dict(template.plain)
        for holder in template.holders:
            arguments[holder] = _references(settings[holder])
        paths: tuple[Path, ...] | None = ()
        if reached:
            paths = (
                None
                if rule.flows is None
                else tuple(
                    Path(inputs[f.source], first + f.output, f.steps, f.status)
                    for f in rule.flows
                    if self._reached[inputs[f.source]]
                )
            )
        outputs = range(first, len(self.values))
        self.nodes.append(
            Node(
                index, rule.op, describe(func).target, place.path, place.call, inputs, tuple(outputs), arguments,
                paths, rule.macs, rule.formula, rule.windows, rule.groups, detached=self.detached,
            )
        )  # fmt: skip
        return list(outputs)


def by_reference(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with each tensor as a reference to its value."""
    return {name: _reference(value) for name, value in settings.items()}


def _reference(setting: Any) -> Any:
    if isinstance(setting, Tracked):
        return Ref(setting.value)
    return [_reference(item) for item in setting] if isinstance(setting, list) else setting


def _references(setting: Any) -> Argument:
    resolved: Argument = _plain_reference(setting)
    return resolved


def _plain_reference(setting: Any) -> Any:
    if isinstance(setting, Tracked):
        return Ref(setting.value)
    return tuple(map(_plain_reference, setting)) if isinstance(setting, list) else plain(setting)
