"""Where in a model an operation runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """A module's path, and which of its calls this is, from 0."""

    path: str
    call: int
