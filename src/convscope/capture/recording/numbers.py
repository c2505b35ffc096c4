"""The numbers in tensors that do not depend on the input: constants, and what is computed from them.

They are computed for real, on the CPU, and only when something asks: an index, `.item()`, a branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convscope.capture.recording.backends import call
from convscope.capture.recording.schema import Operator, describe
from convscope.graph.records import Ref

Array = npt.NDArray[np.generic]

# Constants of more elements than this are not evaluated: their numbers decide nothing that we report.
LARGEST = 4_000_000


class NeedsNumbersError(Exception):
    """The forward pass asks for the numbers in a tensor, and stand-ins have none."""


class Numbers:
    """Known tensors by value index, and recipes for the others."""

    def __init__(self) -> None:
        self._data: dict[int, torch.Tensor] = {}
        self._recipes: dict[int, tuple[Any, dict[str, Any], int]] = {}

    def __contains__(self, value: int) -> bool:
        return value in self._data or value in self._recipes

    def give(self, value: int, tensor: torch.Tensor) -> None:
        """The value is this tensor, as it is now; it is not copied."""
        self._data[value] = tensor.detach()

    def derive(self, value: int, function: Any, settings: dict[str, Any], output: int) -> None:
        """The value is output number `output` of a call; tensors in `settings` are `Ref`s."""
        self._recipes[value] = (function, settings, output)

    def array(self, value: int) -> Array | None:
        """The numbers of a value; None where they are not known."""
        tensor = self.tensor(value)
        return None if tensor is None else as_array(tensor)

    def tensor(self, value: int) -> torch.Tensor | None:
        """The value as a real tensor; None where it is not known."""
        if value in self._data:
            return self._data[value]
        recipe = self._recipes.get(value)
        if recipe is None:
            return None
        function, settings, output = recipe
        try:
            result = self.evaluate(function, describe(function), settings)
        except NeedsNumbersError:
            return None
        tensor = flat(result if isinstance(result, tuple) else (result,))[output]
        assert isinstance(tensor, torch.Tensor)
        self._data[value] = tensor
        return tensor

    def evaluate(self, function: Any, operator: Operator, settings: dict[str, Any]) -> Any:
        """Compute a call of known tensors for real; what it writes is a copy.

        Raises:
            NeedsNumbers: one of its tensors is not known.
        """
        actual = {name: convert(setting, self._require) for name, setting in settings.items()}
        for name in operator.written:
            actual[name] = convert(actual[name], torch.Tensor.clone)
        if actual.get("device") is not None:
            actual["device"] = torch.device("cpu")
        return call(function, operator, actual)

    def _require(self, reference: Ref | torch.Tensor) -> torch.Tensor:
        tensor = self.tensor(reference.value) if isinstance(reference, Ref) else reference
        if tensor is None or tensor.numel() > LARGEST:
            raise NeedsNumbersError("a tensor that is not known before the network runs")
        return tensor.cpu()


# What torch says when something wants numbers that a stand-in has not.
_ASKED = ("numpy", "tolist", "unallocated storage", "data pointer", "no data", "data-dependent", "data dependent")
_ASKING = ("DataDependentOutputException", "DynamicOutputShapeException", "NeedsNumbers")


def wants_numbers(problem: BaseException | None) -> bool:
    """Whether a forward pass stopped because it asked for numbers."""
    while problem is not None:
        said = str(problem).lower()
        if type(problem).__name__ in _ASKING or any(words in said for words in _ASKED):
            return True
        problem = problem.__cause__
    return False


def as_array(tensor: torch.Tensor) -> Array:
    """A tensor's numbers as NumPy holds them; bfloat16 becomes float32."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return array


def convert(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change every tensor or `Ref` in a nested setting."""
    if isinstance(value, Ref | torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(convert(item, change) for item in value)
    return value


def flat(values: Any) -> list[Any]:
    """The leaves of nested lists and tuples, None left out."""
    return [leaf for v in values for leaf in (flat(v) if isinstance(v, list | tuple) else [v]) if leaf is not None]
