"""The state of torch in which every public function runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def known_state() -> Iterator[None]:
    """Run what is inside in one known state of torch, and restore the caller's."""
    yield
