"""The page reads and marks answers as `convscope.exercise` does."""

from __future__ import annotations

import random
from typing import Any

import pytest

from convscope.course.exercise_record import exercise_record
from convscope.exercises.exercise import exercise
from convscope.exercises.number_text import AnswerError, read_number
from convscope.exercises.record import Exercise
from convscope.exercises.registry import names
from convscope.exercises.texts import answer_text, table
from learn_twin import ask_page

SPELLINGS = (
    "{}",
    "  {} ",
    "= {}",
    "a = b = {}",
    "({})",
    "[{}]",
    "{} px",
    "{} weights.",
    "{}.0",
    "−{}",
    "+{}",
    "{},5",
    "{}.",
    "{} %",
    "{}!",
    "{} {}",
    "{}; {}",
    "{}x{}",
    "{} and {}",
    "{}*{}",
    "{} | {}",
    "{}, {}",
    "{},{}",
    "{}/{}",
    "{}^2",
    "{}e2",
    "{}^11",
    "{} × 10⁻⁸",
    "{}*10^-2",
    "{}²",
    "{}'{}",
    "[[{}, {}], [{}, {}]]",
    "{} {}; {} {}",
    "{} {} / {} {}",
    "{}\n{}",
    "({}, {}, {})",
    "{} × {} × {}",
    "3 3 p {}",
    "conv{}/2",
    "option {}",
    "{})",
    "(a)",
    "A",
    "2",
    "c.",
    "not allowed",
    "Impossible!",
    "",
    " ",
    "=",
    "many words",
    "0,25",
    "1,792,640",
    "1.792",
    "1.792.640",
    "15 052 900",
    "15'052'900",
    "١٢٣",
    "２４",
    "𝟙𝟚",
    "1/0",
    "2^99",
    "9" * 50,
    "x" * 600,
    "nan",
    "inf",
    "1e400",
    "0x10",
    "½",
    "²",
    "--3",
    "3 3 p conv3/2 pool",
    "k5 5x5 p2",
    "3/0",
    "100",
    'it\'s "5"',
    "back\\slash",
)

# Numbers whose digits, or whether they are whole, one rounding more would change.
ROUNDED = (
    "37^11",
    "-37^11",
    "9007199254740993",
    "9,007,199,254,740,993",
    "9.007.199.254.740.993",
    "9007199254740993.0",
    "9007199254740993/2",
    "-18014398509481987/2",
    "27021597764222979/3",
    "100000000000000000000/3",
    "1.2345678901234567890e25",
    "1e-320",
    "1.5 x 10^30",
    "4 x 10^2",
    "100000.5^7",
    "0.5^-3",
    "500 %",
    "9007199254740993 %",
    "-0",
    "37^11; 37^10",
    "[[37^11, 1], [1, 1]]",
)


def _given(text: str, asked: Exercise) -> dict[str, Any]:
    try:
        mark = asked.mark(text)
    except AnswerError as error:
        return {"mark": "unread", "line": str(error), "suggestion": error.suggestion}
    return {"mark": mark.mark, "name": mark.misconception, "lines": list(mark.lines)}


def _answers(asked: Exercise, draw: random.Random, count: int) -> list[str]:
    """Return the right answer, those of known mistakes, and other spellings, as texts."""
    values = [asked.answer, *(known.value for known in asked.misconceptions)]
    texts = [asked.options[str(value)] if asked.options else answer_text(value) for value in values]
    texts += [answer_text(value) for value in values]
    for _ in range(count):
        spelling = draw.choice(SPELLINGS)
        numbers = [draw.randint(0, 99), draw.randint(0, 10**7), f"{draw.randint(0, 10**8):,}", draw.random()]
        number = str(draw.choice(numbers))
        texts.append(spelling.replace("{}", draw.choice([number, draw.choice(texts[: len(values)])])))
    return texts


@pytest.mark.parametrize(
    ("seeds", "spellings"), [((3,), 12), pytest.param(range(12), 60, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_the_page_marks_as_python_does(seeds: range, spellings: int) -> None:
    draw = random.Random(30)
    asked = [(exercise(name, seed=seed), exercise_record(name, seed)) for seed in seeds for name in names()]
    texts = [(number, text) for number, (one, _) in enumerate(asked) for text in _answers(one, draw, spellings)]
    words = table()["words"]
    found = ask_page("marking", {"exercises": [shown for _, shown in asked], "words": words, "answers": texts})
    different = []
    for (number, text), theirs in zip(texts, found, strict=True):
        one = asked[number][0]
        ours = _given(text, one)
        if theirs != ours:
            different.append((one.name, one.seed, text, ours, theirs))
    assert not different, different[:5]


def test_the_page_reads_long_numbers_as_python_does() -> None:
    asked = {one.kind: one for one in (exercise(name, seed=3) for name in names())}
    assert {"whole", "float", "matrix"} <= set(asked)
    shown = [exercise_record(one.name, 3) for one in asked.values()]
    texts = [(number, text) for number in range(len(shown)) for text in ROUNDED]
    found = ask_page("marking", {"exercises": shown, "words": table()["words"], "answers": texts})
    ours = [_given(text, list(asked.values())[number]) for number, text in texts]
    assert [each for each in zip(texts, ours, found, strict=True) if each[1] != each[2]] == []


def test_a_whole_number_is_no_rounded_fraction() -> None:
    """Python's 400.0 is the page's 400: of the two, only numbers that are not whole are compared as rounded ones."""
    for text, value in (("4 x 10^2", 400), ("0.5^-3", 8), ("500 %", 5), ("9007199254740993/2", 4503599627370496)):
        found = read_number(text, whole=False)
        assert (type(found), found) == (int, value)
