"""Worksheets: exercises on paper, each copy with other numbers, and their answers with the worked steps."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from convscope.errors import ArgumentError, did_you_mean
from convscope.exercises.exercise import LARGEST_SEED, exercise
from convscope.exercises.record import Exercise
from convscope.exercises.registry import listing, names
from convscope.exercises.texts import answer_text, table, word
from convscope.report.document import Block, Code, Columns, Document, Paragraph, Section, WriteIn

MOST_COPIES = 1_000
LARGEST_WORKSHEET_SEED = LARGEST_SEED // 10
_SEEDS = 10**6  # that are drawn from where none is given
_TRIES = 40  # seeds of an exercise before a copy has the numbers of another one
_ROOM = 4  # lines to write on where an answer is computed


@dataclass(frozen=True, slots=True)
class Worksheet:
    """A worksheet in several copies.

    Args:
        words: what was asked for: chapters and exercises, in order.
        seed: of the numbers.
        copies: of each the exercises with its own numbers.
    """

    words: tuple[str, ...]
    seed: int
    copies: tuple[tuple[Exercise, ...], ...]

    @property
    def title(self) -> str:
        """Its title, without the copy."""
        return word("worksheet", what=", ".join(self.words))

    def page(self, *, answers: bool) -> str:
        """Return the worksheet as one page of HTML: the copies, and with `answers` those of each copy at the end."""
        from convscope.report.html import sheets_page

        sheets = [self._sheet(number) for number in range(1, len(self.copies) + 1)]
        if answers:
            sheets += [self._answers(number) for number in range(1, len(self.copies) + 1)]
        return sheets_page(f"{self.title}, {word('worksheet-seed', seed=self.seed)}", sheets)

    def _place(self, number: int) -> str:
        return word("worksheet-copy", number=number, copies=len(self.copies), seed=self.seed)

    def _sheet(self, number: int) -> Document:
        blocks: list[Block] = [WriteIn(word("worksheet-name"))]
        for place, asked in enumerate(self.copies[number - 1], 1):
            blocks.append(Section(f"{number}.{place} {asked.title}", tuple(_question(asked))))
        return Document(f"{self.title}: {self._place(number)}", tuple(blocks), footer=self._footer(number))

    def _answers(self, number: int) -> Document:
        blocks = [
            Section(f"{number}.{place} {asked.title} ({asked.name})", tuple(_solution(asked)))
            for place, asked in enumerate(self.copies[number - 1], 1)
        ]
        title = word("worksheet-answers", title=self.title, copy=self._place(number))
        return Document(title, tuple(blocks), footer=self._footer(number))

    def _footer(self, number: int) -> str:
        by_seed: dict[int, list[str]] = {}
        for asked in self.copies[number - 1]:
            by_seed.setdefault(asked.seed, []).append(asked.name)
        named = (f"--seed {seed} ({', '.join(inside)})" for seed, inside in by_seed.items())
        return word("worksheet-again", exercises=", ".join(named))


def worksheet(words: Sequence[str], *, seed: int | None = None, copies: int = 1) -> Worksheet:
    """Return a worksheet: exercises of chapters, or named ones, in copies with other numbers each.

    The numbers of a copy depend on the seed and on the copies before it, not on how many follow.

    Args:
        words: chapters, such as "3", "quiz" or "slip", and exercises, such as "3a".
        seed: of the numbers; drawn anew unless given.
        copies: from 1 to 1,000.

    Raises:
        ArgumentError: a chapter or exercise that does not exist, no words, or a seed or number of copies out of range.

    >>> sheet = worksheet(["3a", "quiz-flip"], seed=42, copies=2)
    >>> [[asked.name for asked in copy] for copy in sheet.copies]
    [['3a', 'quiz-flip'], ['3a', 'quiz-flip']]
    >>> sheet.copies[0][0].statement == sheet.copies[1][0].statement
    False
    """
    chosen = _chosen(words)
    seed = secrets.randbelow(_SEEDS) if seed is None else seed
    if not 0 <= seed <= LARGEST_WORKSHEET_SEED:
        raise ArgumentError(f"seed is {seed:,}: give 0 to {LARGEST_WORKSHEET_SEED:,}")
    if not 1 <= copies <= MOST_COPIES:
        raise ArgumentError(f"copies is {copies:,}: give 1 to {MOST_COPIES:,}")
    columns = [_with_other_numbers(name, seed, copies) for name in chosen]
    return Worksheet(tuple(words), seed, tuple(zip(*columns, strict=True)))


def _with_other_numbers(name: str, seed: int, copies: int) -> list[Exercise]:
    """Return an exercise once for each copy, with numbers that no copy before it has, where there are as many."""
    found: list[Exercise] = []
    before: set[str] = set()
    for copy in range(copies):
        for attempt in range(_TRIES):
            asked = exercise(name, seed=seed + copy + MOST_COPIES * attempt)
            if (question := _in_short(asked)) not in before:
                break
        before.add(question)
        found.append(asked)
    return found


def _in_short(asked: Exercise) -> str:
    return "\n".join([asked.statement, *asked.shown.values(), *asked.options.values()])


def _chosen(words: Sequence[str]) -> list[str]:
    """Return the exercises of chapters and names, each once, in the order asked for."""
    if not words:
        raise ArgumentError("there is no chapter and no exercise: give some, such as 3,4 or 3a,quiz-flip")
    chapters = _chapters()
    found: list[str] = []
    for asked_for in words:
        inside = chapters.get(asked_for) or ([asked_for] if asked_for in names() else None)
        if inside is None:
            near = did_you_mean(asked_for, [*chapters, *names()])
            hint = near or f" There are {', '.join(chapters)}, and exercises such as 3a"
            raise ArgumentError(f"there is no chapter or exercise {asked_for!r}.{hint}")
        found += inside
    return list(dict.fromkeys(found))


def _chapters() -> dict[str, list[str]]:
    """Return the exercises of each chapter or group, by what it is called in the table of texts."""
    titles = table()["chapters"]
    return {key: [one.name for one in listing() if one.group == title] for key, title in titles.items()}


def _question(asked: Exercise) -> Iterator[Block]:
    yield Paragraph(asked.statement)
    if asked.shown:
        yield Columns(tuple(Code(f"{label}\n\n{text}") for label, text in asked.shown.items()))
    for letter, text in asked.options.items():
        yield Paragraph(f"{letter})  {text}")
    label = word("worksheet-answer", unit=asked.unit) if asked.unit else word("worksheet-answer-alone")
    yield WriteIn(label, 1 if asked.options else _ROOM)


def _solution(asked: Exercise) -> Iterator[Block]:
    right = asked.options[str(asked.answer)] if asked.options else answer_text(asked.answer)
    letter = f"{asked.answer}) " if asked.options else ""
    yield Paragraph(word("answer", answer=f"{letter}{right.removesuffix('.')}"))
    for step in asked.steps:
        yield Paragraph(step)
