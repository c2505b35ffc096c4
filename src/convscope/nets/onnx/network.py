"""An ONNX graph as a torch module: every node a module of its own, its tensors the module's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from convscope.arrays import Array
from convscope.errors import CaptureError
from convscope.files.regular import UnreadableError
from convscope.nets.onnx import tensors
from convscope.nets.onnx.channels_last import channels_last
from convscope.nets.onnx.folded import folded_note
from convscope.nets.onnx.operators import BUFFERS, BY_DOMAIN, SETTINGS, WEIGHT_NAMES
from convscope.nets.onnx.operators.shape import range_length
from convscope.nets.onnx.plan import Plan
from convscope.nets.onnx.repeated import MOST_NODES, named_inputs, repeated
from convscope.nets.onnx.scope import paths_of
from convscope.nets.onnx.step import OnnxResult, OnnxStep, OnnxValue, UntranslatedError, array
from convscope.nets.onnx.unknown import Shapes, unknown
from convscope.nets.onnx.weights import WeightRule, moved_weights

# Whole numbers and switches of more elements than this are buffers; of fewer, known numbers.
_SMALL = 65_536
# What is computed from known numbers alone stays known up to this many elements.
_LARGEST_KNOWN = 4_000_000


# A node, the one whose module has its weights, and the tensors that it can read.
_Found: TypeAlias = tuple[OnnxStep, OnnxStep, Mapping[str, Any]]

# What Python raises where a node has not the inputs and settings of its operator.
_NOT_ITS_OWN = (
    IndexError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration, AssertionError
)  # fmt: skip


class OnnxNode(nn.Module):
    """One node: called with the values that it reads, and giving those that it makes, as a list.

    A value that is a tensor of the file is a weight of the module, and is given as None.
    """

    def __init__(self, step: OnnxStep) -> None:
        super().__init__()
        self.step = step
        self.weights: dict[int, str] = {}

    def own(self, position: int, tensor: torch.Tensor, name: str, *, buffer: bool) -> None:
        """Take a tensor of the file as a weight."""
        label = WEIGHT_NAMES.get(self.step.operator, {}).get(position) or name.rpartition(".")[2]
        if not label.isidentifier() or hasattr(self, label) or len(label) > 80:
            label = f"input_{position}"
        (self._buffers if buffer else self._parameters)[label] = tensor  # type: ignore[assignment]  # as given
        self.weights[position] = label

    def with_weights(self, values: Sequence[OnnxValue]) -> list[OnnxValue]:
        """Return the values that the node reads, with its weights in their places."""
        given = list(values)
        for position, label in self.weights.items():
            given[position] = (self._parameters if label in self._parameters else self._buffers)[label]
        return given

    def forward(self, values: Sequence[OnnxValue], shapes: Shapes) -> list[OnnxValue]:
        """Run the node."""
        given = self.with_weights(values)
        function = BY_DOMAIN.get(self.step.domain, {}).get(self.step.operator)
        try:
            if function is None:
                raise UntranslatedError("the operator is not known")
            if all(not isinstance(value, torch.Tensor) for value in given):
                return _known(self.step, function, given)
            return _listed(function(self.step, _as_tensors(self.step, given)))
        except UntranslatedError as reason:
            return unknown(self.step, given, shapes, str(reason))
        except _NOT_ITS_OWN as problem:
            raise CaptureError(_lacking(self.step, problem)) from problem


def _lacking(step: OnnxStep, problem: Exception) -> str:
    cause = (str(problem).splitlines() or [""])[0][:120]
    return f"{step.operator} lacks an input or a setting, or has one that it does not take ({cause})"


def _as_tensors(step: OnnxStep, values: Sequence[OnnxValue]) -> list[OnnxValue]:
    """Return values with known numbers as constants, except for settings and single numbers."""
    settings = SETTINGS.get(step.operator, ())
    return [
        value
        if not isinstance(value, np.ndarray) or i in settings or not value.ndim
        else torch.from_numpy(value.copy())
        for i, value in enumerate(values)
    ]


def _listed(made: OnnxResult) -> list[OnnxValue]:
    return [made] if isinstance(made, torch.Tensor | np.ndarray) else list(made)


def _known(
    step: OnnxStep, function: Callable[[OnnxStep, Sequence[OnnxValue]], Any], values: Sequence[OnnxValue]
) -> list[OnnxValue]:
    """Compute what no input decides, outside of what is recorded; large results are left to the network."""
    settings = SETTINGS.get(step.operator, ())
    if step.operator in ("Shape", "Size", "NonZero"):
        return [function(step, values)]
    if step.operator == "Range" and range_length(values) > _LARGEST_KNOWN:
        raise UntranslatedError("it counts too far")

    def run(device: str) -> list[torch.Tensor]:
        given: list[OnnxValue] = [
            value if value is None or i in settings else torch.from_numpy(np.array(value)).to(device)
            for i, value in enumerate(values)
        ]
        with torch.device(device):
            made = function(step, given)
        return list(made) if isinstance(made, list | tuple) else [made]

    with _disable_current_modes():
        sizes = [result.numel() for result in run("meta")]
        if max(sizes, default=0) <= _LARGEST_KNOWN:
            return [result.numpy() for result in run("cpu")]
    return _listed(function(step, _as_tensors(step, values)))


class OnnxNetwork(nn.Module):
    """A whole graph. Called with its inputs in order, it returns its outputs, one of them alone as it is.

    Args:
        plan: the graph, as `read_plan` gives it.

    Raises:
        UnreadableError: a tensor's numbers can't be read.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self._known: dict[str, Array] = {}
        self._tensors: dict[int, nn.Parameter | torch.Tensor] = {}
        self._nodes: dict[OnnxStep, OnnxNode] = {}  # by the step itself, which a copy of the network has too
        self._last_read: dict[str, int] = {}
        self._in_loops = 0
        found = list(_flat(plan.steps, plan.constants))
        moved = moved_weights([step for step, _, _ in found], {name for _, _, held in found for name in held})
        self._rule = WeightRule(plan.origins, plan.path.parent, plan.producer.startswith("pytorch"), moved)
        self._build(found, plan.constants)
        self.channels_last = channels_last(plan)
        turned = ", ".join(sorted(self.channels_last))
        last = (
            f"the file takes {turned} with the channels last: here they come before rows and columns"
            if turned
            else None
        )
        self._convscope_notes = tuple(filter(None, (last, folded_note(plan))))  # a capture keeps them
        self._last_read = {name: i for i, step in enumerate(plan.steps) for name in _read(step)}
        self.eval()

    def forward(self, *given: torch.Tensor, **named: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Run the nodes in order, on inputs by position, by name, or both."""
        taken = dict(zip(self.plan.inputs, given, strict=False)) | named
        if len(given) + len(named) != len(self.plan.inputs) or taken.keys() != self.plan.inputs.keys():
            names = ", ".join(name[:40] for name in self.plan.inputs)
            raise CaptureError(f"it takes {len(self.plan.inputs)} inputs ({names}), not {len(given) + len(named)}")
        inputs = self.as_in_file([taken[name] for name in self.plan.inputs])
        values: dict[str, OnnxValue] = {**self._known, **dict(zip(self.plan.inputs, inputs, strict=True))}
        shapes = Shapes.of(self.plan, inputs)
        self._in_loops = 0
        self._run(self.plan, values, shapes, self._last_read)
        outputs = tuple(self._output(values, name) for name in self.plan.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def as_in_file(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return inputs (N, C, *S) with their channels where the file takes them."""
        return [x.movedim(1, -1) if name in self.channels_last and x.ndim > 2 else x
                for name, x in zip(self.plan.inputs, inputs, strict=True)]  # fmt: skip

    def _run(self, plan: Plan, values: dict[str, OnnxValue], shapes: Shapes, last_read: Mapping[str, int]) -> None:
        for index, step in enumerate(plan.steps):
            given = [values.get(name) if name else None for name in step.inputs]
            branch = self._branch(step, given)
            if branch is not None:
                made = self._run_inner(branch, [], values, shapes)
            elif step.operator in ("Loop", "Scan") and not step.domain:
                made = self._repeated(step, self._nodes[step].with_weights(given), values, shapes)
            else:
                made = self._nodes[step](given, shapes)
            values.update({name: value for name, value in zip(step.outputs, made, strict=False) if name})
            for name in _read(step) if last_read else ():
                if last_read[name] == index and name not in plan.outputs:
                    values.pop(name, None)

    def _run_inner(
        self, plan: Plan, given: Sequence[OnnxValue], values: Mapping[str, OnnxValue], shapes: Shapes
    ) -> list[OnnxValue]:
        """Run a subgraph, which reads what is around it; return its outputs."""
        inner = {**values, **named_inputs(plan, given)}
        self._run(plan, inner, shapes, {})
        return [inner.get(name) for name in plan.outputs]

    def _repeated(
        self, step: OnnxStep, given: Sequence[OnnxValue], values: Mapping[str, OnnxValue], shapes: Shapes
    ) -> list[OnnxValue]:
        def run(body: Plan, inputs: Sequence[OnnxValue]) -> list[OnnxValue]:
            self._in_loops += max(1, len(body.steps))
            if self._in_loops > MOST_NODES:  # nested loops multiply
                raise UntranslatedError(f"loops run more than {MOST_NODES:,} nodes")
            return self._run_inner(body, inputs, values, shapes)

        try:
            return repeated(step, given, run)
        except UntranslatedError as reason:
            return unknown(step, given, shapes, str(reason))
        except _NOT_ITS_OWN as problem:
            raise CaptureError(_lacking(step, problem)) from problem

    def _branch(self, step: OnnxStep, given: Sequence[OnnxValue]) -> Plan | None:
        """Return the branch of an If whose condition no input decides."""
        if step.operator != "If" or step.domain or not isinstance(given[0], np.ndarray):
            return None
        branch = step.get("then_branch" if given[0].all() else "else_branch")
        return branch if isinstance(branch, Plan) else None

    def _output(self, values: Mapping[str, OnnxValue], name: str) -> torch.Tensor:
        value = values.get(name)
        if value is None and name in self.plan.constants:
            return tensors.torch_tensor(self.plan.constants[name], self.plan.path.parent)
        return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(array(value)))

    # From the plan to modules.

    def _build(self, found: Sequence[_Found], constants: Mapping[str, Any]) -> None:
        """Make the module of every node, with the tensors of the file that it reads."""
        run = [(step, held) for step, owner, held in found if owner is step]
        weights = [self._first_weight(step, held) for step, held in run]
        for (step, _), path in zip(run, paths_of([step for step, _ in run], weights), strict=True):
            node = _class_of(step)(step)
            self._nodes[step] = node
            _place(self, path, node)
        for step, owner, held in found:
            for position, name in enumerate(step.inputs):
                if name in held:
                    self._give(self._nodes[owner], step, position, name, held[name], mine=owner is step)
        for name, proto in _given_on(self.plan, constants):
            if name not in self._known and np.prod(proto.dims, dtype=np.int64) <= _LARGEST_KNOWN:
                self._known[name] = tensors.numbers(proto, self.plan.path.parent)
        for name, proto in constants.items():
            if id(proto) not in self._tensors and name not in self._known and self._rule.is_unused_weight(name, proto):
                self.register_parameter(f"unused_{len(self._parameters)}", self._tensor(proto, buffer=False))

    def _first_weight(self, step: OnnxStep, held: Mapping[str, Any]) -> str:
        """Return the name of the first weight of a node; "" where it has none."""
        named = ((i, name) for i, name in enumerate(step.inputs) if name in held)
        return next((name for i, name in named if self._rule.is_weight(step, i, name, held[name])), "")

    def _give(self, node: OnnxNode, step: OnnxStep, position: int, name: str, proto: Any, *, mine: bool) -> None:
        """Give a tensor of the file to a node that reads it, or keep its numbers where it is a setting."""
        weight, settings = self._rule.is_weight(step, position, name, proto), SETTINGS.get(step.operator, ())
        size = int(np.prod(proto.dims, dtype=np.int64))
        number = not (weight or (proto.dims and position in BUFFERS.get(step.operator, ())))
        if number and (size <= _SMALL or position in settings):
            if size > _LARGEST_KNOWN:
                raise UnreadableError(f"tensor {name[:80]!r}, a setting of {step.operator}, has {size:,} numbers")
            if name not in self._known:
                self._known[name] = tensors.numbers(proto, self.plan.path.parent)
            return
        kept = self._tensor(proto, buffer=not weight)
        if mine:
            node.own(position, kept, name, buffer=not weight)
        elif weight:  # read inside a loop, which stays one node
            node.register_parameter(f"inner_{len(node._parameters)}", kept)

    def _tensor(self, proto: Any, *, buffer: bool) -> Any:
        if id(proto) not in self._tensors:
            found = tensors.torch_tensor(proto, self.plan.path.parent)
            self._tensors[id(proto)] = found if buffer else nn.Parameter(found, found.is_floating_point())
        return self._tensors[id(proto)]


def _flat(steps: Sequence[OnnxStep], constants: Mapping[str, Any], owner: OnnxStep | None = None) -> Iterator[_Found]:
    """Return all nodes in order, those of subgraphs too."""
    for step in steps:
        yield step, owner or step, constants
        for plan in step.attributes.values():
            if isinstance(plan, Plan):
                # What is run node by node is not one node.
                around = owner or (None if step.operator in ("If", "Loop", "Scan") and not step.domain else step)
                yield from _flat(plan.steps, {**constants, **plan.constants}, around)


def _given_on(plan: Plan, constants: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return the tensors that subgraphs give as they are, such as a loop's condition, by name."""
    for step in plan.steps:
        for inner in step.attributes.values():
            if isinstance(inner, Plan):
                held = {**constants, **inner.constants}
                yield from ((name, held[name]) for name in inner.outputs if name in held)
                yield from _given_on(inner, held)


def _read(step: OnnxStep) -> set[str]:
    """Return the names that a node reads, inside its subgraphs too."""
    names = {name for name in step.inputs if name}
    for plan in step.attributes.values():
        if isinstance(plan, Plan):
            names.update(plan.outputs, *(_read(inner) for inner in plan.steps))
    return names


@cache
def _class_named(name: str) -> type[OnnxNode]:
    return type(name, (OnnxNode,), {"__doc__": OnnxNode.__doc__})


def _class_of(step: OnnxStep) -> type[OnnxNode]:
    label = f"{step.domain}.{step.operator}" if step.domain else step.operator
    return _class_named("".join(c if c.isalnum() or c in "._" else "_" for c in label[:80]) or "Node")


class OnnxScope(nn.Module):
    """Modules under one name."""


def _place(root: nn.Module, path: tuple[str, ...], node: OnnxNode) -> None:
    """Register a module under its path."""
    for part in path[:-1]:
        root = root._modules.setdefault(part, OnnxScope())  # type: ignore[assignment]  # no other value is kept there
    root._modules[path[-1]] = node
