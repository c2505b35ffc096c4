"""Every choice question: the right option is true and each other one false, computed independently."""

from __future__ import annotations

import pytest

from choice_oracles import OPTIONS
from convscope.exercises.chapters.quizzes import RIGHT
from convscope.exercises.draw import discriminating
from convscope.exercises.registry import names, rule_of
from convscope.exercises.texts import table


def test_every_choice_question_of_the_quizzes_has_an_independent_computation() -> None:
    assert {name for name in names() if name.startswith("quiz-") and rule_of(name).kind == "choice"} == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_right_option_alone_is_true(name: str) -> None:
    seen: set[str] = set()
    for seed in range(24):
        drawn, _ = discriminating(name, seed, rule_of(name))
        if (numbers := str(sorted(drawn.numbers.items()))) in seen:
            continue
        seen.add(numbers)
        truth = {option: bool(is_true) for option, is_true in OPTIONS[name](drawn.numbers).items()}
        assert truth == {option: option == RIGHT for option in table()[name]["options"]}, (name, seed)


def test_an_option_that_is_wrong_has_a_sentence_that_says_why() -> None:
    for name in OPTIONS:
        options, why = table()[name]["options"], table()[name]["wrong"]
        assert set(options) - {RIGHT} == set(why), name
