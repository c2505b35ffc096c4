"""An exercise with its numbers, and an answer marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convscope.exercises.draw import AnswerKind, AnswerValue, Drawn, ExerciseRule
from convscope.exercises.marking import Mark, find_misconception
from convscope.exercises.number_text import MOST_DIGITS, unreadable
from convscope.exercises.parse import parse_answer
from convscope.exercises.texts import answer_text, word
from convscope.report.document import Block, Callout, Code, Document, Fact, Facts, Heading, Paragraph
from convscope.report.documented import Documented
from convscope.report.short_repr import ShortRepr


@dataclass(frozen=True, slots=True, repr=False)
class Misconception(ShortRepr):
    """A known mistake.

    Args:
        name: its name in the table of texts.
        value: the answer that it leads to.
        sentence: what is wrong with it.
    """

    name: str
    value: AnswerValue
    sentence: str

    def headline(self) -> str:
        """Return its name and the answer that it leads to."""
        return f"{self.name}: {answer_text(self.value)}"


@dataclass(frozen=True, eq=False, repr=False)
class Marked(Documented):
    """An answer that was read and compared with the right one.

    Args:
        exercise: its name.
        seed: of its numbers.
        given: the answer as it was read.
        mark: right, a known misconception, or wrong without a known reason.
        misconception: the name of the misconception, or "".
        lines: what is said of the answer, a sentence each.
    """

    exercise: str
    seed: int
    given: AnswerValue
    mark: Mark
    misconception: str
    lines: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.mark == "right"

    def headline(self) -> str:
        """Return the exercise and the mark."""
        return f"exercise {self.exercise}, seed {self.seed}: {self.mark}"

    def document(self) -> Document:
        """Return what is shown: what is said of the answer."""
        return Document(self.headline(), tuple(Paragraph(line) for line in self.lines))

    def to_dict(self) -> dict[str, Any]:
        """Return the mark as JSON's types.

        Keys:
            exercise: its name.
            seed: of its numbers.
            given: the answer as it was read.
            mark: right, misconception or wrong.
            misconception: the name of the misconception, or null.
            lines: what is said of the answer.
        """
        return {
            "exercise": self.exercise,
            "seed": self.seed,
            "given": in_lists(self.given),
            "mark": self.mark,
            "misconception": self.misconception or None,
            "lines": list(self.lines),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Exercise(Documented):
    """An exercise with its numbers; `mark` reads an answer, `solution` has the worked steps.

    Args:
        name: of the exercise.
        seed: of its numbers.
        title: what it is about.
        statement: the question.
        shown: what stands below the question, by its label: rows of numbers or names, as text.
        unit: what the answer is counted in, or "".
        kind: of the answer.
        options: of a choice, the text of each option by its letter.
        answer: the right one; of a choice, its letter.
        formula: how it is computed, with the numbers and without the result.
        steps: the worked steps, the last with the result.
        misconceptions: known mistakes whose answers are apart from the right one and from each other.
    """

    name: str
    seed: int
    title: str
    statement: str
    shown: Mapping[str, str]
    unit: str
    kind: AnswerKind
    options: Mapping[str, str]
    answer: AnswerValue
    formula: str
    steps: tuple[str, ...]
    misconceptions: tuple[Misconception, ...]
    rule: ExerciseRule
    drawn: Drawn
    words: Mapping[str, Sequence[str]]
    sentences: Mapping[str, str]

    def headline(self) -> str:
        """Return its name, its seed and what it is about."""
        return f"{self.name}, seed {self.seed}: {self.title}"

    def mark(self, answer: object) -> Marked:
        """Read an answer, in any spelling, and mark it.

        Raises:
            AnswerError: it can't be read, or a comma in it can be read in two ways.

        >>> from convscope.exercises.exercise import exercise
        >>> asked = exercise("1a", seed=7)
        >>> asked.mark(asked.answer).mark, asked.mark(1).mark
        ('right', 'wrong')
        """
        given = as_answer(answer)
        if not is_numbers(given) or self.kind in ("choice", "layers"):
            given = self._read(as_text(given))
        name, sentence = find_misconception(self.rule, self.drawn, self._as_drawn(given), self.sentences)
        mark: Mark
        if not name:
            mark, lines = "right", [word("right", answer=answer_text(given))]
        elif sentence:
            mark, lines = "misconception", [sentence, self._way()]
        else:
            mark, lines = "wrong", [word("wrong", given=answer_text(given)), word("check", step=self.steps[0])]
        return Marked(self.name, self.seed, given, mark, name if mark == "misconception" else "", tuple(lines))

    def _way(self) -> str:
        return word("consider" if self.kind == "choice" else "arithmetic", formula=self.formula)

    def _read(self, text: str) -> AnswerValue:
        values = [self.answer, *(misconception.value for misconception in self.misconceptions)]
        tuples = [value for value in values if isinstance(value, tuple)]
        sizes = [(len(value), len(value[0])) for value in tuples if isinstance(value[0], tuple)]
        return parse_answer(
            text,
            self.kind,
            lengths=list(dict.fromkeys(map(len, tuples))) if self.kind in ("numbers", "shape") else (),
            sizes=list(dict.fromkeys(sizes)),
            options=self.options,
            words=self.words,
            digits=digits_of(values),
        )

    def _as_drawn(self, given: AnswerValue) -> AnswerValue:
        """Return an answer as the draw has it: of a choice, the option's name for its letter."""
        if self.kind != "choice":
            return given
        return self.drawn.options[list(self.options).index(str(given))]

    def document(self) -> Document:
        """Return what is shown: the question, without its answer."""
        blocks: list[Block] = [Paragraph(self.statement)]
        for label, text in self.shown.items():
            blocks += [Heading(label), Code(text)]
        if self.options:
            blocks.append(Facts(tuple(Fact(letter, text) for letter, text in self.options.items())))
        if self.unit:
            blocks.append(Paragraph(word("unit", unit=self.unit)))
        return Document(
            f"{self.name}: {self.title} (seed {self.seed})", tuple(blocks), footer="Made by convscope exercise."
        )

    def solution(self) -> Document:
        """Return the question with the worked steps and the answer."""
        asked = self.document()
        steps: list[Block] = [Paragraph(step) for step in self.steps]
        right = self.options[str(self.answer)].removesuffix(".") if self.options else answer_text(self.answer)
        letter = f"{self.answer}) " if self.options else ""
        end = Callout("note", word("answer", answer=f"{letter}{right}"))
        return Document(
            asked.title,
            (*asked.blocks, Heading(word("worked")), Paragraph(self._way()), *steps, end),
            footer=asked.footer,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the exercise as JSON's types, with its answer.

        Keys:
            exercise: its name.
            seed: of its numbers.
            title: what it is about.
            statement: the question.
            shown: what stands below the question, by its label.
            unit: what the answer is counted in.
            kind: of the answer: whole, float, numbers, shape, matrix, choice or layers.
            options: of a choice, the text of each option by its letter.
            answer: the right one.
            formula: how it is computed, without the result.
            steps: the worked steps.
            misconceptions: of each its name, the answer that it leads to, and what is wrong with it.
        """
        return {
            **self.question(),
            "answer": in_lists(self.answer),
            "formula": self.formula,
            "steps": list(self.steps),
            "misconceptions": [
                {"name": one.name, "value": in_lists(one.value), "sentence": one.sentence}
                for one in self.misconceptions
            ],
        }

    def question(self) -> dict[str, Any]:
        """Return the question alone as JSON's types: nothing of it has the answer."""
        return {
            "exercise": self.name,
            "seed": self.seed,
            "title": self.title,
            "statement": self.statement,
            "shown": dict(self.shown),
            "unit": self.unit,
            "kind": self.kind,
            "options": dict(self.options),
        }


def digits_of(values: Iterable[object]) -> frozenset[int]:
    """Return how many digits the whole numbers among the values, and those in tuples of them, have.

    >>> sorted(digits_of([1792, 30.5, (64, 3)]))
    [1, 2, 4]
    """
    numbers = [number for value in values for number in (value if isinstance(value, tuple) else (value,))]
    return frozenset(len(str(abs(number))) for number in numbers if isinstance(number, int))


def in_lists(value: object) -> Any:
    """Return an answer as JSON's types: lists for tuples.

    >>> in_lists(((8, 7), (5, 9)))
    [[8, 7], [5, 9]]
    """
    return [in_lists(item) for item in value] if isinstance(value, tuple) else value


def as_answer(value: Any) -> Any:
    """Return lists and arrays as tuples, numbers of NumPy as Python's.

    >>> as_answer([[8, 7], [5, 9]])
    ((8, 7), (5, 9))
    """
    plain = value.tolist() if hasattr(value, "tolist") else value
    return tuple(as_answer(item) for item in plain) if isinstance(plain, list | tuple) else plain


def is_numbers(value: object) -> bool:
    """Return whether a value is a number, numbers in a tuple that is not empty, or rows of them.

    >>> is_numbers(3.5), is_numbers(((8, 7), (5, 9))), is_numbers("3"), is_numbers(()), is_numbers((1, (2,)))
    (True, True, False, False, False)
    """
    if isinstance(value, tuple):
        rows = value if all(isinstance(row, tuple) for row in value) else (value,)
        return bool(value) and all(row and all(map(_is_number, row)) for row in rows)
    return _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**MOST_DIGITS


def as_text(value: object) -> str:
    """Return a value that is given as an answer as it would be typed.

    Raises:
        AnswerError: a number of more digits than Python writes.

    >>> as_text(("3", "3", "p")), as_text(None)
    ('3 3 p', 'None')
    """
    try:
        return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    except ValueError:
        raise unreadable(word("too-many-digits", most=MOST_DIGITS)) from None
