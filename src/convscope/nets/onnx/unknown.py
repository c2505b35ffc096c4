"""Nodes that can't be run by torch operators: recorded by name, with the shapes that the file or onnx says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from convscope.errors import CaptureError
from convscope.nets.onnx.plan import Declared, Plan
from convscope.nets.onnx.step import OnnxStep, OnnxValue
from convscope.nets.onnx.tensors import TORCH_TYPES

# The namespace and name of the operator that an unknown node is recorded as.
NAMESPACE = "convscope_onnx"
NAME = "unknown_node"
_library: Any = torch.library.Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]  # torch has no types for it
_library.define(f"{NAME}(Tensor[] inputs, str name, int[] sizes, int[] ranks, int[] types) -> Tensor[]")
_KINDS = [kind for number, kind in TORCH_TYPES.items() if isinstance(number, int)]


def _shapes_alone(
    inputs: Sequence[torch.Tensor], name: str, sizes: Sequence[int], ranks: Sequence[int], types: Sequence[int]
) -> list[torch.Tensor]:
    rest, made = list(sizes), []
    for rank, kind in zip(ranks, types, strict=True):
        made.append(torch.empty(rest[:rank], dtype=_KINDS[kind], device="meta"))
        rest = rest[rank:]
    return made


def _no_numbers(inputs: Sequence[torch.Tensor], name: str, *_: object) -> list[torch.Tensor]:
    raise CaptureError(f"{name} is an ONNX operator that is not known here: its numbers can't be computed")


_library.impl(NAME, _shapes_alone, "Meta")
_library.impl(NAME, _no_numbers, "CPU")


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """What the file says of values, for inputs of the sizes at hand.

    Args:
        declared: element types and shapes by name.
        symbols: sizes of the axes that the file names.
        usual: whether the inputs have the sizes that the file fixes, so that its other sizes hold.
    """

    declared: Mapping[str, Declared]
    symbols: Mapping[str, int]
    usual: bool

    @classmethod
    def of(cls, plan: Plan, inputs: Sequence[torch.Tensor]) -> Shapes:
        """Return what a plan says, with its names bound to the sizes of inputs."""
        symbols: dict[str, int] = {}
        usual = True
        for declared, given in zip(plan.inputs.values(), inputs, strict=True):
            for wanted, size in zip(declared.shape or (), given.shape, strict=False):
                if isinstance(wanted, str):
                    symbols.setdefault(wanted, size)
                elif wanted is not None:
                    usual = usual and wanted == size
        return cls(plan.declared, symbols, usual)

    def spec(self, name: str) -> tuple[int, tuple[int, ...]] | None:
        """Return the element type and shape of a value; None where the file does not say them."""
        declared = self.declared.get(name)
        if declared is None or declared.shape is None or not self.usual:
            return None
        sizes = [self.symbols.get(size) if isinstance(size, str) else size for size in declared.shape]
        return None if None in sizes else (declared.kind, tuple(size for size in sizes if size is not None))


def unknown(step: OnnxStep, values: Sequence[OnnxValue], shapes: Shapes, reason: str) -> list[OnnxValue]:
    """Record a node that is not known.

    Raises:
        CaptureError: nothing says the shape of what it makes, or it makes no numbers, such as text.
    """
    wanted = [name for name in step.outputs if name]
    specs = [shapes.spec(name) for name in wanted]
    if None in specs:
        specs = _inferred(step, values) or specs
    label = (f"{step.domain}.{step.operator}" if step.domain else step.operator)[:80]
    if None in specs:
        raise CaptureError(f"{label} can't be followed ({reason}), and nothing says the shape of what it makes")
    known = [spec for spec in specs if spec is not None]
    if other := [kind for kind, _ in known if TORCH_TYPES.get(kind) not in _KINDS]:
        raise CaptureError(f"{label} can't be followed ({reason}), and makes elements of type {other[0]}: no numbers")
    given = [v if isinstance(v, torch.Tensor) else torch.from_numpy(np.array(v)) for v in values if v is not None]
    sizes, ranks = [n for _, shape in known for n in shape], [len(shape) for _, shape in known]
    types = [_KINDS.index(TORCH_TYPES[kind]) for kind, _ in known]
    operator: Any = getattr(torch.ops, NAMESPACE)
    made = iter(getattr(operator, NAME)(given, label, sizes, ranks, types))
    return [next(made) if name else None for name in step.outputs]


def _inferred(step: OnnxStep, values: Sequence[OnnxValue]) -> list[tuple[int, tuple[int, ...]] | None] | None:
    """Return the types and shapes that onnx itself infers for one node of its own operators; None if it can't."""
    from onnx import TensorProto, helper, numpy_helper, shape_inference

    if step.domain or any(isinstance(value, Plan) for value in step.attributes.values()):
        return None
    numbers = {kind: number for number, kind in TORCH_TYPES.items() if isinstance(number, int)}
    inputs, constants = [], []
    names = [f"i{i}" if value is not None else "" for i, value in enumerate(values)]
    for name, value in zip(names, values, strict=True):
        if isinstance(value, torch.Tensor):
            inputs.append(helper.make_tensor_value_info(name, numbers[value.dtype], list(value.shape)))
        elif value is not None:
            constants.append(numpy_helper.from_array(value, name))
    attributes = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in step.attributes.items()}
    outputs = [f"o{i}" if name else "" for i, name in enumerate(step.outputs)]
    try:
        node = helper.make_node(step.operator, names, outputs, **attributes)
        made = [helper.make_value_info(name, helper.make_tensor_type_proto(TensorProto.UNDEFINED, None))
                for name in outputs if name]  # fmt: skip
        graph = helper.make_graph([node], "node", inputs, made, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", step.version)])
        found = shape_inference.infer_shapes(model, data_prop=True).graph.output
    except Exception:  # whatever its C++ raises of a node that is not right
        return None
    specs: list[tuple[int, tuple[int, ...]] | None] = []
    for value in found:
        facts = value.type.tensor_type
        fixed = facts.HasField("shape") and all(d.HasField("dim_value") for d in facts.shape.dim)
        specs.append((facts.elem_type, tuple(d.dim_value for d in facts.shape.dim)) if fixed else None)
    return specs
