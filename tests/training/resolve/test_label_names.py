"""Class names that tell of labels which a mirror or a turn changes, and names that only look as if they did."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.training.resolve.label_names import LEFT_RIGHT, changed_by_mirror, changed_by_turning

SIDES = (
    "L R", "left right straight", "turn_left turn_right", "left_arrow right-arrow", "leftArrow ArrowRight", "L1 R1",
    "lung_L lung_R", "eye-r eye-l nose", "links rechts", "Linksabbieger Rechtsabbieger", "izquierda derecha",
    "gauche droite", "esquerda direita", "sinistra destra", "vänster höger", "venstre høyre", "lewo prawo", "sağ sol",
    "налево направо", "левый правый", "左折 右折", "ひだり みぎ", "왼쪽 오른쪽", "clockwise counter-clockwise",
    "anti_clockwise clockwise", "CW CCW", "imUhrzeigersinn gegenDenUhrzeigersinn", "east west north south", "NE NW",
    "est ouest", "este oeste", "upper_lefthand upper_righthand", "⬅️_a ➡️_a", "plain mirrored", "R_flipped R_asis",
)  # fmt: skip
ANGLES = (
    "0 90 180 270", "000 045 090 135 180 225 270 315", "rot0 rot90 rot180 rot270", "rot-90 rot-270", "-90 0 90",
    "90deg 270deg", "0° 90° 270°", "angle_30 angle_330", "r_-45 r_45",
)  # fmt: skip
CHARACTERS = ("A b", "0 1 2", "letter_b letter_d", "digit-3 digit-7", "upper_A lower_a", "zero one two", "null eins")
NOT_CHANGED = (
    "cat dog", "airplane automobile bird", "class_0 class_1 class_2", "right-whale grey-whale", "left gone",
    "port airport", "east least", "cleft cleaver", "bright blight", "grade_a grade_b grade_l grade_r",
    "type_e type_w type_x", "0 180", "10 20 30 40", "2019 2020 2021", "r1 r2", "a1 b7", "one_person two_persons",
    "sole sage", "bottom-feeder bottom_feeder", "up down",
)  # fmt: skip


@pytest.mark.parametrize("names", SIDES + ANGLES + CHARACTERS)
def test_names_that_tell(names: str) -> None:
    classes = names.split()
    assert changed_by_mirror(classes)
    assert changed_by_mirror([*classes[::-1]])


@pytest.mark.parametrize("names", NOT_CHANGED)
def test_names_that_do_not_tell(names: str) -> None:
    assert changed_by_mirror(names.split()) is None


@pytest.mark.parametrize("names", [*ANGLES, "up down", "rot0 rot180", "north south", "letter_b letter_d"])
def test_names_that_a_turn_changes(names: str) -> None:
    assert changed_by_turning(names.split())


@pytest.mark.parametrize("names", ["cat dog", "r1 r2 r3", "a1 b7", "upright downtown"])
def test_names_that_a_turn_leaves(names: str) -> None:
    assert changed_by_turning(names.split()) is None


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([pair for pair in LEFT_RIGHT if pair[0].isalpha()]),
    st.lists(st.sampled_from(("arrow", "Turn", "sign", "lane", "of", "7")), max_size=2),
    st.sampled_from(("_", "-", " ", ".")),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
def test_a_side_is_found_in_any_place_case_and_order(pair, words, between, place, shuffle) -> None:
    first, second = ([*words[:place], word, *words[place:]] for word in pair)
    shuffle.shuffle(second)
    classes = ["stop", between.join(first), "_".join(second).upper()]
    assert changed_by_mirror(classes)
    assert changed_by_mirror(classes[:2]) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True))
def test_any_names_are_read(classes: list[str]) -> None:
    for found in (changed_by_mirror(classes), changed_by_turning(classes)):
        assert found is None or found.startswith("by ")


def test_two_sides_among_hundreds_of_classes_are_not_worth_all_flips() -> None:
    few, many = ([f"thing {number}" for number in range(1000, 1000 + count)] for count in (60, 600))
    assert changed_by_mirror(["lefteye flounder", "righteye flounder", *few])
    assert changed_by_mirror(["lefteye flounder", "righteye flounder", *many]) is None
