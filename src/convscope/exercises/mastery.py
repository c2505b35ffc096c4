"""Which exercises are mastered: by three draws of numbers in a row, each answered within the tries that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from convscope.exercises.registry import listing, names
from convscope.exercises.texts import word
from convscope.report.document import Document, Paragraph
from convscope.report.table import Column, Row, Table

NEEDED = 3  # draws in a row that were answered
_SEEDS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """The draws of one exercise.

    Args:
        in_a_row: draws answered within the tries that count, three or of a choice one, without another one between.
        mastered: whether there were enough in a row, now or before.
        seeds: of the last numbers that were answered or shown: the same numbers do not count again.
    """

    in_a_row: int = 0
    mastered: bool = False
    seeds: tuple[int, ...] = ()

    def after(self, seed: int, *, right: bool) -> Standing:
        """Return the standing after a draw: `right` within the tries that count, or not.

        >>> Standing().after(1, right=True).after(1, right=True).in_a_row
        1
        >>> Standing(2, seeds=(1, 2)).after(3, right=True).mastered, Standing(2).after(3, right=False).in_a_row
        (True, 0)
        """
        in_a_row = min(NEEDED, self.in_a_row + (seed not in self.seeds)) if right else 0
        seeds = (*(kept for kept in self.seeds if kept != seed), seed)[-_SEEDS_KEPT:]
        return replace(self, in_a_row=in_a_row, mastered=self.mastered or in_a_row >= NEEDED, seeds=seeds)


@dataclass(frozen=True)
class Mastery:
    """The standing of every exercise that was begun, by its name.

    >>> Mastery().after("1a", 7, right=True).following()
    '1a'
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)

    def of(self, name: str) -> Standing:
        """Return the standing of one exercise."""
        return self.standings.get(name, Standing())

    def after(self, name: str, seed: int, *, right: bool) -> Mastery:
        """Return the mastery after a draw of an exercise: `right` within the tries that count, or not."""
        return Mastery({**self.standings, name: self.of(name).after(seed, right=right)})

    def following(self) -> str | None:
        """Return the first exercise that is not mastered; None where all are."""
        return next((name for name in names() if not self.of(name).mastered), None)

    def headline(self) -> str:
        """Return how many exercises are mastered."""
        mastered = sum(self.of(name).mastered for name in names())
        return word("mastered-count", mastered=mastered, all=len(names()))

    def document(self) -> Document:
        """Return what is shown: of each chapter how many are mastered, and each exercise that was begun."""
        found = listing()
        rows: list[Row] = []
        for group in dict.fromkeys(one.group for one in found):
            inside = [one for one in found if one.group == group]
            mastered = sum(self.of(one.name).mastered for one in inside)
            rows.append(Row((group, "", f"{mastered} / {len(inside)}"), "group"))
            rows += [Row((one.name, one.title, self._text(one.name))) for one in inside if one.name in self.standings]
        columns = (Column("exercise"), Column(word("asks-for")), Column(word("standing")))
        following = self.following()
        end = word("all-mastered") if following is None else word("following", name=following)
        return Document(self.headline(), (Table(columns, tuple(rows)), Paragraph(end)))

    def _text(self, name: str) -> str:
        standing = self.of(name)
        if standing.mastered:
            return word("is-mastered")
        return word("in-a-row", count=standing.in_a_row, needed=NEEDED)

    def to_dict(self) -> dict[str, Any]:
        """Return the mastery as JSON's types.

        Keys:
            mastered: the number of exercises mastered.
            following: the first that is not mastered, or null.
            exercises: of each, its name, right answers in a row, and whether it is mastered.
        """
        rows = [{"exercise": name, "in_a_row": self.of(name).in_a_row, "mastered": self.of(name).mastered}
                for name in names()]  # fmt: skip
        return {
            "mastered": sum(self.of(name).mastered for name in names()),
            "following": self.following(),
            "exercises": rows,
        }
