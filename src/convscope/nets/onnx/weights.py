"""Which tensors of a file are its parameters: what was trained, and not the constants of arithmetic and shapes.

Torch's exporter says it of every tensor of the network, and of what a tensor that it computed was made. Where a file
says nothing, a tensor is a parameter by the place where it is read:

- weights of operators that have any (a convolution, a product, a norm, a recurrent layer, a table that is looked up),
  but for the ones and zeros that an exporter writes for a norm without weights;
- what only is cut, joined and laid out otherwise before it gets there;
- operands of arithmetic and parts of concatenations, where they have more than one number, not all of them whole:
  counts, masks and indices are constants. Of a name that the network gave, they are parameters whatever they hold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.nets.onnx import tensors
from convscope.nets.onnx.operators import BUFFERS, SETTINGS, WEIGHT_NAMES, WHOLE_WEIGHTS
from convscope.nets.onnx.step import OnnxStep

# Keys of the metadata that torch's exporter writes of a value.
KIND, FOLDED = "pkg.torch.export.graph_signature.InputSpec.kind", "pkg.onnxscript.optimizer.folded_from"
_MOVES = ("Slice", "Concat", "Split", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Cast", "Identity")
_ARITHMETIC = ("Add", "Sub", "Mul", "Div")
# Names that exporters number: of torch's, its older one, tf2onnx, and onnxruntime.
_NUMBERED = re.compile(
    r"val_\d+|onnx::\w+|.*(?:[Cc]onstant|const_fold|const)_*(?:output_?)?_*\d*(?::0)?|[a-z_]*tensor\w*\d"
)
_NORMS = ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
# Of tensors that are larger, no number is looked at.
_LARGEST_LOOKED_AT = 4_000_000


@dataclass(frozen=True, eq=False)
class WeightRule:
    """What in one file is a parameter.

    Args:
        origins: what the exporter says of tensors, by name: "PARAMETER", "BUFFER", or the names it computed them of.
        folder: of the file.
        by_torch: whether torch's exporter made it.
        moved: names of tensors that get to a place of weights by moves alone.
    """

    origins: Mapping[str, str | tuple[str, ...]]
    folder: Path
    by_torch: bool
    moved: frozenset[str]

    def is_weight(self, step: OnnxStep, position: int, name: str, proto: Any) -> bool:
        """Return whether a tensor is a parameter where a node reads it."""
        operator = step.operator
        if position in WHOLE_WEIGHTS.get(operator, ()):
            # One number is added or multiplied as a constant is.
            return bool(proto.dims) and (operator not in ("QLinearAdd", "QLinearMul") or np.prod(proto.dims) > 1)
        left_out = (*SETTINGS.get(operator, ()), *BUFFERS.get(operator, ()))
        if not is_float(proto) or position in left_out:
            return False
        origin = self.origins.get(name)
        if origin is not None:
            return self._trained(origin)
        named = bool(proto.name) and _NUMBERED.fullmatch(proto.name) is None
        if proto.dims and position in WEIGHT_NAMES.get(operator, {}):
            return named or operator not in _NORMS or not self._only(proto, 0, 1)
        if self._says_kinds:
            return False
        if proto.dims and name in self.moved:
            return True
        if not proto.name and operator not in _ARITHMETIC:
            return False  # of a Constant node, in which some exporters write weights, and all of them zeros and masks
        if named and self.by_torch:
            return bool(proto.dims) or operator in _ARITHMETIC
        return int(np.prod(proto.dims)) > 1 and (named or not self._whole(proto))

    def is_unused_weight(self, name: str, proto: Any) -> bool:
        """Return whether a tensor that no node reads is a parameter all the same."""
        numbered = not proto.name or _NUMBERED.fullmatch(proto.name) is not None
        return is_float(proto) and bool(proto.dims) and not numbered and self.origins.get(name) in (None, "PARAMETER")

    @cached_property
    def _says_kinds(self) -> bool:
        return "PARAMETER" in self.origins.values()

    def _trained(self, origin: str | tuple[str, ...] | None) -> bool:
        if isinstance(origin, tuple):
            return any(not _is_step(name) and self.origins.get(name) != "BUFFER" for name in origin)
        return origin == "PARAMETER"

    def _only(self, proto: Any, *wanted: float) -> bool:
        numbers = self._numbers(proto)
        return numbers is not None and any(bool((numbers == number).all()) for number in wanted)

    def _whole(self, proto: Any) -> bool:
        """Return whether all numbers are whole, or so large that they stand for an infinity."""
        numbers = self._numbers(proto)
        return numbers is not None and bool(((numbers == np.rint(numbers)) | (np.abs(numbers) > 1e4)).all())

    def _numbers(self, proto: Any) -> Any:
        return tensors.numbers(proto, self.folder) if np.prod(proto.dims) <= _LARGEST_LOOKED_AT else None


def moved_weights(steps: Sequence[OnnxStep], constants: Collection[str]) -> frozenset[str]:
    """Return the names of tensors that only moves lie between and a place of weights, as those of gates put in order.

    Args:
        steps: all nodes, those of subgraphs too, each after those that it reads.
        constants: names of the tensors of the file.
    """
    known, moves = set(constants), []
    for step in steps:
        read = {name for i, name in enumerate(step.inputs) if name and i not in SETTINGS.get(step.operator, ())}
        if step.operator in _MOVES and not step.domain and read <= known:
            known.update(step.outputs)
            moves.append((step, read))
    wanted = {
        name for step in steps for i, name in enumerate(step.inputs)
        if i in WEIGHT_NAMES.get(step.operator, {}) and i not in SETTINGS.get(step.operator, ())
        and i not in BUFFERS.get(step.operator, ())
    }  # fmt: skip
    found: set[str] = set()
    for step, read in reversed(moves):
        if not (wanted | found).isdisjoint(step.outputs):
            found |= read
    return frozenset(found.intersection(constants))


def is_float(proto: Any) -> bool:
    """Return whether a tensor of the file holds floating-point numbers."""
    kind = tensors.TORCH_TYPES.get(proto.data_type)
    return kind is not None and kind.is_floating_point


def origins_of(values: Collection[Any], prefix: str) -> dict[str, str | tuple[str, ...]]:
    """Return what torch's exporter wrote of values: their kind, or what they were computed of."""
    found: dict[str, str | tuple[str, ...]] = {}
    for value in values:
        facts = {entry.key: entry.value for entry in value.metadata_props}
        if KIND in facts:
            found[prefix + value.name] = facts[KIND]
        elif FOLDED in facts:
            found[prefix + value.name] = tuple(re.findall(r"'([^']*)'", facts[FOLDED][:1_000_000]))
    return found


def _is_step(name: str) -> bool:
    """Return whether a name is one that torch's exporter gives a step of the computation: an operator's, numbered.

    >>> _is_step("add_12"), _is_step("convert_element_type_default"), _is_step("fc.weight"), _is_step("cls")
    (True, True, False, False)
    """
    base = re.sub(r"_(default|tensor|scalar)$", "", re.sub(r"_\d+$", "", name))
    return base == "val" or any(hasattr(namespace, base) for namespace in (torch.ops.aten, torch.ops.prims))
