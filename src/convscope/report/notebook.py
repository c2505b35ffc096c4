"""Progress bars in a notebook: one output cell, drawn again as work goes on; needs nothing beside IPython itself."""

from __future__ import annotations

import html
import importlib
import sys
import time
from typing import Any

from convscope.report.printable import printable

# A browser is sent no more drawings than this.
DRAWN_EVERY_SECONDS = 0.2


def in_notebook() -> bool:
    """Return whether this is a notebook's kernel: IPython runs, and shows its output elsewhere than in a terminal.

    >>> in_notebook()
    False
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookBars:
    """Bars by name in one output cell, and `below` them any HTML; `show` and `remove` draw it again, now and then."""

    def __init__(self) -> None:
        self._bars: dict[str, tuple[float, float, str]] = {}
        self._handle: Any = None
        self._drawn = 0.0
        self.below = ""

    def show(self, name: str, done: float, total: float, note: str) -> None:
        """Draw a bar; a total of 0 is not known."""
        self._bars[name] = (done, total, note)
        if time.monotonic() - self._drawn >= DRAWN_EVERY_SECONDS:
            self.draw()

    def remove(self, name: str) -> None:
        """Take a bar out."""
        self._bars.pop(name, None)
        self.draw()

    def close(self) -> None:
        """Take all bars out, and leave what is below them."""
        self._bars.clear()
        if self._handle is not None:
            self.draw()

    def draw(self) -> None:
        """Send the output cell's content, as HTML and as text."""
        display: Any = importlib.import_module("IPython.display").display  # which has no types
        self._drawn = time.monotonic()
        lines = [_line(name, note) for name, (_, _, note) in self._bars.items()]
        bars = (
            f"<div><progress {_values(done, total)}></progress> <code>{html.escape(line)}</code></div>"
            for (done, total, _), line in zip(self._bars.values(), lines, strict=True)
        )
        content = {"text/html": "".join((*bars, self.below)) or "&nbsp;", "text/plain": "\n".join(lines)}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def _line(name: str, note: str) -> str:
    return printable(f"{name}  {note}".strip())


def _values(done: float, total: float) -> str:
    return f'value="{done:g}" max="{total:g}"' if total else ""
