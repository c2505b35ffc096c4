"""Masks among indices: a known one amounts to lists of places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from convscope.capture.recording.backends import Backend
from convscope.capture.recording.numbers import NeedsNumbersError, Numbers
from convscope.capture.recording.tracking import Tracked, signature_of


def unmasked(indices: Sequence[Tracked | None], numbers: Numbers, world: Backend) -> list[torch.Tensor | None]:
    """Index tensors to run on, every mask as the places that it lets through.

    Raises:
        NeedsNumbers: a mask is computed from the input.
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
        places += [world.stand_in(t, signature_of(t)) for t in listed]
    return places
