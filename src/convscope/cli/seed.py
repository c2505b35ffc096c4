"""Seeds as the options of commands take them."""

from __future__ import annotations

from typing import Any

import click

from convscope.api.annotations import SEEDS


class _SeedRange(click.IntRange):
    """A whole number from 0 that torch takes; help names no upper end of 19 digits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; fail where it is none, or too large."""
        found: int = super().convert(value, param, ctx)
        if found >= SEEDS:
            self.fail(f"{found} is too large: seeds are below {SEEDS}.", param, ctx)
        return found


SEED = _SeedRange(min=0)
