"""One node of an ONNX graph, and the values that go in and out: tensors, and numbers that no input decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from convscope.arrays import Array

# A tensor; an array, whose numbers are known before the network runs; None where an optional one is left out.
OnnxValue: TypeAlias = torch.Tensor | Array | None
# What an operator makes.
OnnxInputs: TypeAlias = Sequence["OnnxValue"]
OnnxResult: TypeAlias = torch.Tensor | Array | Sequence[torch.Tensor | Array]


class UntranslatedError(Exception):
    """Why a node can't be run by torch operators: it is then unknown, and never 0."""


@dataclass(frozen=True, slots=True, eq=False)
class OnnxStep:
    """One node.

    Args:
        operator: its type, such as "Conv".
        domain: whose operator it is; "" is ONNX itself.
        version: of the domain's operator set.
        inputs: names of the values that it reads; "" where an optional one is left out.
        outputs: names of those that it makes.
        attributes: its settings; a graph as a `Plan`, a tensor as an array.
        name: the node's own; "" where it has none.
        scope: the module that the exporter says it is of; "" where nothing says it.
        made_from: the class of that module; "" where nothing says it.
    """

    operator: str
    domain: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    name: str = ""
    scope: str = ""
    made_from: str = ""

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default."""
        return self.attributes.get(name, default)

    def setting(self, name: str, inputs: Sequence[OnnxValue], position: int) -> list[int] | None:
        """Return whole numbers that older operator sets have as an attribute, and newer ones as an input."""
        if position < len(inputs) and inputs[position] is not None:
            return integers(inputs[position])
        given = self.get(name)
        return None if given is None else [int(item) for item in given]


def at(inputs: Sequence[OnnxValue], position: int) -> OnnxValue:
    """Return an input, or None where it is left out."""
    return inputs[position] if position < len(inputs) else None


def array(value: OnnxValue) -> Array:
    """Return the numbers of a value; raises UntranslatedError where the network's input decides them."""
    if isinstance(value, torch.Tensor):
        raise UntranslatedError("one of its settings is computed from the network's input")
    if value is None:
        raise UntranslatedError("one of its settings is missing")
    return value


def integers(value: OnnxValue) -> list[int]:
    """Return the whole numbers of a value, flat."""
    return [int(item) for item in array(value).ravel()]


def tensor(value: OnnxValue) -> torch.Tensor:
    """Return a value as a tensor; known numbers become a constant."""
    if isinstance(value, torch.Tensor):
        return value
    return torch.from_numpy(np.array(array(value)))


def operand(value: OnnxValue) -> Any:
    """Return a value as an operand of arithmetic: a tensor, or one number as Python's own."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    return tensor(value)


def spatial(value: torch.Tensor) -> tuple[int, ...]:
    """Return the sizes after samples and channels."""
    return tuple(value.shape[2:])
