"""Three draws in a row, of other numbers and answered within the tries that count, master an exercise."""

from __future__ import annotations

from convscope.exercises.mastery import NEEDED, Mastery
from convscope.exercises.registry import names
from convscope.report.terminal import document_text


def after(*answers: tuple[int, bool], name: str = "1a") -> Mastery:
    mastery = Mastery()
    for seed, right in answers:
        mastery = mastery.after(name, seed, right=right)
    return mastery


def test_three_in_a_row_master_an_exercise_and_a_later_mistake_does_not_unlearn_it() -> None:
    assert not after((1, True), (2, True)).of("1a").mastered
    assert after((1, True), (2, True), (3, True)).of("1a").mastered
    later = after((1, True), (2, True), (3, True), (4, False)).of("1a")
    assert later.mastered and later.in_a_row == 0


def test_a_wrong_answer_begins_the_row_anew() -> None:
    assert after((1, True), (2, True), (3, False), (4, True)).of("1a").in_a_row == 1


def test_the_same_numbers_count_once() -> None:
    assert after((1, True), (1, True), (1, True)).of("1a").in_a_row == 1
    assert after((1, False), (1, True)).of("1a").in_a_row == 0, "its answer was shown"


def test_the_next_exercise_is_the_first_that_is_not_mastered() -> None:
    assert Mastery().following() == "1a"
    assert after((1, True), (2, True), (3, True)).following() == "1b"
    mastery = Mastery()
    for name in names():
        for seed in range(NEEDED):
            mastery = mastery.after(name, seed, right=True)
    assert mastery.following() is None and "All exercises are mastered" in document_text(mastery.document())
    assert mastery.headline().startswith(f"{len(names())} of {len(names())}")


def test_what_was_begun_is_shown_and_as_json() -> None:
    mastery = after((1, True), (2, True))
    text = document_text(mastery.document())
    assert "2 of 3 right in a row" in text and "0 / 3" in text
    kept = mastery.to_dict()
    assert kept["exercises"][0] == {"exercise": "1a", "in_a_row": 2, "mastered": False}
    assert len(kept["exercises"]) == len(names()) and kept["following"] == "1a" and kept["mastered"] == 0
