"""The numbers in tensors that do not depend on the input: constants, and what is computed from them.

They are computed for real, on the CPU, and only when an operation needs them: an index, `.item()`, a branch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from convscope.arrays import Array
from convscope.capture.recording.aliasing import Tracked, signature_of
from convscope.capture.recording.backends import Backend, call
from convscope.capture.recording.schema import Operator, describe, flat
from convscope.graph.records import Ref

# Constants of more elements than this are not evaluated: their numbers decide nothing that we report.
LARGEST = 4_000_000


class NeedsNumbersError(Exception):
    """The forward pass asks for the numbers in a tensor, and stand-ins have none."""


class Numbers:
    """Known tensors by value index, and the calls that compute the others."""

    def __init__(self) -> None:
        self._data: dict[int, torch.Tensor] = {}
        self._calls: dict[int, tuple[Any, dict[str, Any], int]] = {}

    def __contains__(self, value: int) -> bool:
        return value in self._data or value in self._calls

    def give(self, value: int, tensor: torch.Tensor) -> None:
        """Set a value to a tensor as it is now; it is not copied."""
        self._data[value] = tensor.detach()

    def derive(self, value: int, function: Any, settings: dict[str, Any], output: int) -> None:
        """Set a value to output number `output` of a call; tensors in `settings` are `Ref`s."""
        self._calls[value] = (function, settings, output)

    def array(self, value: int) -> Array | None:
        """Return the numbers of a value; None where they are not known."""
        tensor = self.tensor(value)
        return None if tensor is None else as_array(tensor)

    def tensor(self, value: int) -> torch.Tensor | None:
        """Return the value as a real tensor; None where it is not known."""
        if value in self._data:
            return self._data[value]
        derivation = self._calls.get(value)
        if derivation is None:
            return None
        function, settings, output = derivation
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
            NeedsNumbersError: one of its tensors is not known.
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


# Parts of torch's messages where an operation needs numbers that a stand-in does not have.
_MESSAGES = (
    "numpy",
    "tolist",
    "unallocated storage",
    "data pointer",
    "no data",
    "format string",
    "data-dependent",
    "data dependent",
)
_EXCEPTIONS = ("DataDependentOutputException", "DynamicOutputShapeException", "NeedsNumbersError")


def wants_numbers(problem: BaseException | None) -> bool:
    """Return whether a forward pass stopped because it needs numbers."""
    while problem is not None:
        message = str(problem).lower()
        if type(problem).__name__ in _EXCEPTIONS or any(words in message for words in _MESSAGES):
            return True
        problem = problem.__cause__
    return False


def as_array(tensor: torch.Tensor) -> Array:
    """Return a tensor's numbers as a NumPy array; bfloat16 becomes float32."""
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


def unmasked(indices: Sequence[Tracked | None], numbers: Numbers, backend: Backend) -> list[torch.Tensor | None]:
    """Return the index tensors to run on, each mask as the indices of its true elements.

    Raises:
        NeedsNumbersError: a mask is computed from the input.
    """
    places: list[torch.Tensor | None] = []
    for index in indices:
        if index is None or index.signature.dtype not in (torch.bool, torch.uint8):
            places.append(None if index is None else index.tensor)
            continue
        mask = numbers.array(index.value)
        if mask is None:
            raise NeedsNumbersError("a mask that is computed from the input")
        listed = map(torch.from_numpy, np.nonzero(np.atleast_1d(mask)))
        places += [backend.stand_in(t, signature_of(t)) for t in listed]
    return places
