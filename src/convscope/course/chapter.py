"""What a chapter of the course is made of. Its texts stand in `english/`, a file for each chapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convscope.report.short_repr import ShortRepr


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Chapter(ShortRepr):
    """One chapter.

    Args:
        number: 1 to 8.
        widget: the module of the page that draws it, without `_widget.js`.
        exercises: names, in the order in which they are shown.
        numbers: returns what the texts are filled with.
        own: which question is asked of the learner's own network.
        slips: exercises that ask for a wrong statement of the lecture notes.
    """

    number: int
    widget: str
    exercises: tuple[str, ...]
    numbers: Callable[[], Mapping[str, object]]
    own: str
    slips: tuple[str, ...] = ()

    def headline(self) -> str:
        """Return the number, the widget and the exercises."""
        return f"{self.number}: {self.widget}, exercises {', '.join(self.exercises)}"
