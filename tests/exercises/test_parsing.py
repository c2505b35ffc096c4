"""Answers in any spelling: laws of the reader on generated numbers, and what it asks about or refuses."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.exercises.draw import AnswerKind, AnswerValue
from convscope.exercises.exercise import exercise
from convscope.exercises.number_text import AnswerError
from convscope.exercises.parse import parse_answer

KINDS: tuple[AnswerKind, ...] = ("whole", "float", "numbers", "shape", "matrix", "choice", "layers")
whole = st.integers(-(10**12), 10**12)
spelled = st.sampled_from([
    "{}", " {} ", "{:,}", "= {}", "H = {:,}", "{} px", "{:,} weights.", "({})", "{:_}", "{}.0",
])  # fmt: skip
EXAMPLES = settings(max_examples=100, deadline=None)


@EXAMPLES
@given(whole, spelled)
def test_a_whole_number_is_read_in_every_spelling(number: int, spelling: str) -> None:
    assert parse_answer(spelling.format(number), "whole") == number


@EXAMPLES
@given(whole, st.sampled_from([" ", "'", "’", "\u202f", "\u00a0", "，"]))
def test_thousands_are_set_apart_by_any_mark(number: int, mark: str) -> None:
    assert parse_answer(f"{number:,}".replace(",", mark).replace("-", "−"), "whole") == number


@EXAMPLES
@given(st.integers(10**6, 10**15))
def test_dots_set_thousands_apart_where_they_can_be_nothing_else(number: int) -> None:
    assert parse_answer(f"{number:,}".replace(",", "."), "whole") == number


@EXAMPLES
@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=5), st.data())
def test_numbers_are_read_in_every_spelling(numbers: list[int], data: st.DataObject) -> None:
    plain = data.draw(st.sampled_from(["x", " x ", "×", ", ", " ", "; ", "*", " | "]))
    brackets = data.draw(st.sampled_from(["{}", "({})", "[{}]", " {} "]))
    text = brackets.format(plain.join(map(str, numbers)))
    assert parse_answer(text, "shape", lengths=[len(numbers)]) == tuple(numbers), text
    apart = data.draw(st.sampled_from(["; ", " and ", " x ", ", "]))
    text = apart.join(f"{number:,}" for number in numbers)
    assert parse_answer(text, "numbers", lengths=[len(numbers)]) == tuple(numbers), text


@EXAMPLES
@given(st.lists(st.integers(0, 999), min_size=2, max_size=4))
def test_commas_without_spaces_are_read_or_asked_about(numbers: list[int]) -> None:
    text = ",".join(map(str, numbers))
    assert parse_answer(text, "shape", lengths=[len(numbers)]) == tuple(numbers)


@EXAMPLES
@given(st.integers(1, 3), st.integers(1, 3), st.data())
def test_matrices_are_read_in_every_spelling(rows: int, columns: int, data: st.DataObject) -> None:
    values = st.integers(-99, 99)
    matrix = tuple(tuple(data.draw(values) for _ in range(columns)) for _ in range(rows))
    between, inside = data.draw(st.sampled_from([("; ", " "), (" / ", " "), ("\n", ", "), (";", ",")]))
    text = between.join(inside.join(map(str, row)) for row in matrix)
    nested = str([list(row) for row in matrix])
    for spelling in (text, nested, nested.replace(" ", ""), str(matrix)):
        assert parse_answer(spelling, "matrix", sizes=[(rows, columns)]) == matrix, spelling


@EXAMPLES
@given(st.floats(1e-9, 1e9))
def test_floats_are_read_as_python_writes_them(number: float) -> None:
    found = parse_answer(repr(number), "float")
    assert isinstance(found, int | float) and found == pytest.approx(number)


@EXAMPLES
@given(st.text(max_size=60), st.sampled_from(KINDS))
def test_any_text_is_a_value_or_one_clear_line(text: str, kind: AnswerKind) -> None:
    try:
        parse_answer(text, kind, lengths=[3], options={"a": "one", "b": "two"})
    except AnswerError as error:
        line = str(error)
        assert line.isprintable() and "\n" not in line and 10 < len(line) < 260


numbers_text = st.text("0123456789.,;x×()[] -+/^*e%", max_size=40)


@settings(max_examples=300, deadline=None)
@given(numbers_text, st.sampled_from(KINDS))
def test_any_text_of_digits_and_marks_too(text: str, kind: AnswerKind) -> None:
    test_any_text_is_a_value_or_one_clear_line.hypothesis.inner_test(text, kind)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("15,052,900", "whole", 15_052_900),
        ("1 792", "whole", 1_792),
        ("2^20", "whole", 2**20),
        ("2**10", "whole", 1024),
        ("28 − 5 + 1 = 24", "whole", 24),
        ("31.5", "whole", 31.5),
        ("１２", "whole", 12),
        ("٣٢", "whole", 32),
        ("1.5e3", "whole", 1_500),
        ("27/49", "float", 27 / 49),
        ("25 %", "float", 0.25),
        (".5", "float", 0.5),
        ("6.6e-3", "float", 0.0066),
        ("2^-24", "float", 2**-24),
        ("4⁻¹²", "float", 2**-24),
        ("-10^-5", "float", -1e-5),
        ("32x64x64", "shape", (32, 64, 64)),
        ("(32,64,64)", "shape", (32, 64, 64)),
        ("32 X 64 X 64", "shape", (32, 64, 64)),
        ("(32) x (64) x (64)", "shape", (32, 64, 64)),
        ("8 7 / 5 9", "matrix", ((8, 7), (5, 9))),
        ("8 7 5 9", "matrix", ((8, 7), (5, 9))),
        ("8,7 5,9", "matrix", ((8, 7), (5, 9))),
        ("B)", "choice", "b"),
        ("2", "choice", "b"),
        ("Two.", "choice", "b"),
        ("conv3 conv3x3 pool 3/2", "layers", ("3", "3", "p", "3/2")),
    ],
)
def test_what_people_type(text: str, kind: AnswerKind, value: AnswerValue) -> None:
    options = {"a": "one", "b": "two"}
    assert parse_answer(text.replace("X", "x"), kind, lengths=[3], options=options) == value
    if kind == "shape":
        assert parse_answer(text, kind, lengths=[3]) == value


def test_numbers_in_thousands_are_read_by_how_many_there_are() -> None:
    assert parse_answer("4,640,18,496", "numbers", lengths=[2]) == (4_640, 18_496)
    assert parse_answer("37,752,832, 1,052,672", "numbers", lengths=[2]) == (37_752_832, 1_052_672)
    with pytest.raises(AnswerError, match="in several ways"):
        parse_answer("1,792,640,100", "numbers", lengths=[2])


@pytest.mark.parametrize(
    ("text", "kind", "said", "suggestion"),
    [
        ("0,25", "float", "for a decimal comma write 0.25", "0.25"),
        ("1,792", "float", "write 1792 or 1.792", "1.792"),
        ("31,5", "whole", "for a decimal comma write 31.5", "31.5"),
        ("1.792", "whole", "for thousands write 1792", "1792"),
        ("4,75 3,5; 2,25 1", "matrix", "for a decimal comma write 4.75 3.5; 2.25 1", "4.75 3.5; 2.25 1"),
        ("", "whole", "there is no answer", ""),
        ("   ", "float", "there is no answer", ""),
        ("=", "whole", "there is no answer", ""),
        ("many", "whole", "'many' is not a number", ""),
        ("nan", "float", "is not a number", ""),
        ("1e999", "float", "is not a number", ""),
        ("9" * 50, "whole", "too many digits", ""),
        ("9^99", "whole", "too many digits", ""),
        ("9^9^9^9", "whole", "is not a number", ""),
        ("1/0", "float", "is not a number", ""),
        ("0^-1", "float", "is not a number", ""),
        ("9999.5^99", "float", "too many digits", ""),
        ("32x64", "numbers", "has 3 numbers, not 2", ""),
        ("8 7; 5", "matrix", "is not rows of numbers", ""),
        ("z", "choice", "give one of a, b", ""),
        ("3 q 3", "layers", "is not a layer", ""),
        ("x" * 600, "whole", "has 600 characters", ""),
        ("\x1b[31m5", "whole", "is not a number", ""),
    ],
)
def test_what_can_not_be_read_is_asked_about(text: str, kind: AnswerKind, said: str, suggestion: str) -> None:
    with pytest.raises(AnswerError, match=said.replace("(", r"\(")) as raised:
        parse_answer(text, kind, lengths=[3], sizes=[(2, 2)], options={"a": "one", "b": "two"})
    assert raised.value.suggestion == suggestion and "\x1b" not in str(raised.value)


@pytest.mark.parametrize("name", ["2b", "quiz-odd-kernels", "quiz-stretching", "results", "slip-pool-height-formula"])
def test_an_option_is_taken_by_its_text(name: str) -> None:
    asked = exercise(name, seed=3)
    assert any(mark in text for text in asked.options.values() for mark in "×−:")
    for letter, text in asked.options.items():
        assert asked.mark(text).given == asked.mark(text.upper().replace("×", "x")).given == letter


def test_three_decimals_are_asked_about_only_where_the_answer_can_have_that_many_digits() -> None:
    small, large = exercise("3a", seed=42), exercise("4a", seed=3)
    assert len(str(small.answer)) < 4 <= len(str(large.answer)) < 7
    for text, value in (("0.125", 0.125), ("1.875", 1.875), ("54.000", 54), ("56.667", 56.667)):
        assert small.mark(text).given == value
    assert large.mark("0.125").given == 0.125
    with pytest.raises(AnswerError, match="has a dot before three digits") as raised:
        large.mark(f"{large.answer:,}".replace(",", "."))
    assert large.mark(raised.value.suggestion).right
    slope = exercise("7b", seed=3)
    with pytest.raises(AnswerError, match=r"for a decimal comma write 1\.875"):
        slope.mark("1,875")


def test_an_answer_is_taken_as_a_value_too() -> None:
    import numpy as np

    asked = exercise("5a", seed=3)
    assert asked.mark(np.array(asked.answer)).right and asked.mark(asked.to_dict()["answer"]).right
    shaped = exercise("4b", seed=3)
    assert shaped.mark(shaped.answer).right and shaped.mark(list(shaped.answer)).right  # type: ignore[arg-type]


ODD_VALUES = (None, True, (), [], ((1, 2), 3), ((),), {"a": 1}, b"5", float("nan"), float("inf"), object, [[[1]]],
              10**400, -(10**5000), (10**5000, 2))  # fmt: skip


@pytest.mark.parametrize("name", ["3a", "4b", "5a", "5c", "7b", "design"])
def test_any_value_of_python_is_wrong_or_refused(name: str) -> None:
    asked = exercise(name, seed=3)
    for value in ODD_VALUES:
        with suppress(AnswerError):
            assert asked.mark(value).mark == "wrong"


def test_a_shape_without_its_batch_is_a_misconception_and_not_refused() -> None:
    asked = exercise("4b", seed=3)
    assert isinstance(asked.answer, tuple)
    assert asked.mark("x".join(map(str, asked.answer[1:]))).misconception == "batch"
    with pytest.raises(AnswerError, match="has 4 numbers, not 2"):
        asked.mark("32x64")


def test_an_answer_in_words_is_a_misconception() -> None:
    drawn = [exercise("3c", seed=seed) for seed in range(40)]
    asked = next(one for one in drawn if "not-allowed" in {known.name for known in one.misconceptions})
    assert asked.mark("Not allowed!").misconception == "not-allowed"


def test_one_wrong_number_of_two_is_met_with_its_misconception() -> None:
    asked = exercise("7c", seed=5)
    assert isinstance(asked.answer, tuple)
    flat, _ = next(one.value for one in asked.misconceptions if one.name == "bias")  # type: ignore[misc]
    assert asked.mark((flat, asked.answer[1])).misconception == "bias"
