"""Worksheets: copies with other numbers, answers with their steps, on one page that runs and loads nothing."""

from __future__ import annotations

import re
from html import unescape

import pytest

from convscope.errors import ArgumentError
from convscope.exercises.exercise import exercise
from convscope.exercises.registry import names
from convscope.exercises.worksheet import MOST_COPIES, worksheet


def test_chapters_and_names_are_taken_in_order_and_each_exercise_once() -> None:
    sheet = worksheet(["6", "3a", "3", "quiz-flip"], seed=1)
    found = [asked.name for asked in sheet.copies[0]]
    assert found == ["6a", "6b", "6c", "6d", "design", "3a", "3b", "3c", "3d", "quiz-flip"]
    everything = worksheet(["1", "2", "3", "4", "5", "6", "7", "8", "results", "quiz", "slip"], seed=1)
    assert {asked.name for asked in everything.copies[0]} == set(names())


def test_copies_have_other_numbers_and_each_can_be_asked_again() -> None:
    sheet = worksheet(["3", "4"], seed=42, copies=30)
    for column in zip(*sheet.copies, strict=True):
        assert len({asked.statement for asked in column}) == 30, column[0].name
    for asked in sheet.copies[17]:
        assert exercise(asked.name, seed=asked.seed).statement == asked.statement


def test_the_same_seed_gives_the_same_copies_however_many_follow() -> None:
    few, many = worksheet(["3a", "7b"], seed=9, copies=3), worksheet(["3a", "7b"], seed=9, copies=8)
    assert [[asked.seed for asked in copy] for copy in few.copies] == [
        [asked.seed for asked in copy] for copy in many.copies[:3]
    ]
    assert worksheet(["3a"], seed=9).page(answers=True) == worksheet(["3a"], seed=9).page(answers=True)
    assert worksheet(["3a"], seed=9).page(answers=True) != worksheet(["3a"], seed=10).page(answers=True)


def test_answers_are_at_the_end_alone_each_copy_numbered() -> None:
    sheet = worksheet(["3a", "5a", "quiz-dropout"], seed=42, copies=3)
    page = sheet.page(answers=True)
    articles = [unescape(part) for part in page.split("<article")[1:]]
    assert len(articles) == 6 and page.count('class="sheet"') == 6
    for number, copy in enumerate(sheet.copies, 1):
        question, answers = articles[number - 1], articles[number + 2]
        assert f"copy {number} of 3" in question and f"copy {number} of 3" in answers
        for place, asked in enumerate(copy, 1):
            assert f"<h2>{number}.{place} {asked.title}</h2>" in question
            assert f"<h2>{number}.{place} {asked.title} ({asked.name})</h2>" in answers
            assert asked.statement in question and asked.statement not in answers
            for step in asked.steps:
                assert step in answers and step not in question
    assert sheet.page(answers=False).count("<article") == 3


def test_the_page_runs_and_loads_nothing() -> None:
    page = worksheet(["2", "quiz", "slip-conv-156"], seed=3, copies=2).page(answers=True)
    assert "<script" not in page and "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page) and "url(" not in page
    assert "break-before:page" in page and "@page" in page and " A4" not in page, "any size of paper"


@pytest.mark.parametrize(
    ("words", "seed", "copies", "said"),
    [
        (["33"], 1, 1, "there is no chapter or exercise '33'"),
        (["3aa"], 1, 1, "Did you mean 3a"),
        (["desing"], 1, 1, "Did you mean design"),
        (["quizz"], 1, 1, "Did you mean quiz"),
        ([], 1, 1, "there is no chapter and no exercise"),
        (["3"], -1, 1, "seed is -1"),
        (["3"], 10**18, 1, "seed is 1,000,000,000,000,000,000"),
        (["3"], 1, 0, "copies is 0"),
        (["3"], 1, MOST_COPIES + 1, "copies is 1,001"),
    ],
)
def test_what_can_not_be_made_is_refused(words: list[str], seed: int, copies: int, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        worksheet(words, seed=seed, copies=copies)
