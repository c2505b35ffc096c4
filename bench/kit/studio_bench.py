"""A row of the studio's table, and the browser and studios that rows are measured with."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.studio_times import instrument
from studio_browser import new_context
from studio_command import StudioCommand, start_studio
from studio_page import StudioPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass(kw_only=True)
class Measured:
    """A row of the table.

    Args:
        name: what is measured.
        asked: the most that it may be, None where nothing is asked.
        numbers: what was measured.
        unit: of the numbers and of what is asked.
        by: which of "p50", "p95" and "max" is compared with what is asked.
        note: a remark.
        forward: milliseconds of a forward pass of the network in this run.
    """

    name: str
    asked: float | None
    numbers: Sequence[float] = ()
    unit: str = "ms"
    by: str = "p95"
    note: str = ""
    forward: float | None = field(default=None)

    @property
    def p50(self) -> float | None:
        """The median."""
        return statistics.median(self.numbers) if self.numbers else None

    @property
    def p95(self) -> float | None:
        """The 95th percentile: of fewer than 20 numbers the largest."""
        if not self.numbers:
            return None
        ordered = sorted(self.numbers)
        return ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]

    @property
    def met(self) -> bool | None:
        """Whether it is as asked; None where nothing is asked or measured."""
        judged = {"p50": self.p50, "p95": self.p95, "max": max(self.numbers, default=None)}[self.by]
        return None if judged is None or self.asked is None else judged <= self.asked

    def said(self) -> str:
        """Return the row as one line."""
        if not self.numbers:
            return self.note or "not measured"
        return f"p50 {self.p50:,.1f}, p95 {self.p95:,.1f} {self.unit}, asked {self.asked} {self.note}"

    def to_row(self) -> dict[str, object]:
        """Return the row as studio.csv has it."""
        return {
            "row": self.name, "asked": self.asked, "unit": self.unit, "p50": self.p50, "p95": self.p95,
            "events": len(self.numbers), "met": self.met, "forward_ms": self.forward, "note": self.note,
        }  # fmt: skip


@dataclass(kw_only=True)
class StudioBench:
    """A browser, a folder for what the studio writes, and how many events a row takes."""

    browser: Browser
    folder: Path
    events: int
    forward: float | None = None

    @contextmanager
    def studio(self, *arguments: str) -> Iterator[StudioCommand]:
        """Run the command."""
        found = start_studio(*arguments, folder=self.folder)
        try:
            yield found
        finally:
            found.stop()

    @contextmanager
    def page(self, studio: StudioCommand, **settings: Any) -> Iterator[StudioPage]:
        """Open its page, with the instruments in it."""
        settings.setdefault("viewport", {"width": 1440, "height": 1000})
        with new_context(self.browser, studio.origin, **settings) as (context, faults):
            context.set_default_timeout(60_000)
            instrument(context)
            faults.expect(".*")  # a bench measures; the tests find faults
            yield StudioPage(context.new_page(), studio, faults)

    @contextmanager
    def opened(self, model: str, **state: object) -> Iterator[StudioPage]:
        """Run the command and open a state of a network."""
        with self.studio() as studio, self.page(studio) as page:
            page.explore(m=model, i="sample:0", **state)
            yield page
