"""A real run writes parameters and buffers: their numbers are kept before, and given back afterwards."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch

from convscope.capture.recording.numbers import flat
from convscope.capture.recording.schema import Operator
from convscope.capture.recording.tracking import Tracked


class SavedBuffers:
    """Copies of the model's own tensors, from before they were written."""

    def __init__(self, own: Container[int]) -> None:
        self._own = own
        self._saved: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(self, operator: Operator, settings: dict[str, Any]) -> None:
        """Before an operation runs: copy what it will write, if it is the model's."""
        # Batch normalisation writes its running statistics without saying so in its schema.
        hidden = ("running_mean", "running_var") if "batch_norm" in operator.base else ()
        for tracked in flat([settings.get(name) for name in operator.written or hidden]):
            if isinstance(tracked, Tracked) and id(tracked.tensor) in self._own:
                self._saved.setdefault(id(tracked.tensor), (tracked.tensor, tracked.tensor.detach().clone()))

    def restore(self) -> None:
        """Give every tensor its numbers back."""
        with torch.no_grad():
            for tensor, saved in self._saved.values():
                tensor.copy_(saved)
        self._saved.clear()
