"""Images whose answer is known: the pixels that decide the class are where the record says."""

import numpy as np
import pytest

from convscope.data.known_answer import KnownAnswers, known_answers
from convscope.data.shape_drawing import SHAPES
from convscope.errors import DataError


@pytest.fixture(scope="module", params=["plain", "cue", "distractor"])
def made(request: pytest.FixtureRequest) -> KnownAnswers:
    return known_answers(40, variant=request.param, classes=8, seed=3)


def inside(box: np.ndarray, side: int) -> np.ndarray:
    """The box as a mask."""
    found = np.zeros((side, side), bool)
    found[box[0] : box[2], box[1] : box[3]] = True
    return found


def test_an_image_depends_on_its_seed_and_number_alone(made: KnownAnswers) -> None:
    fewer = known_answers(7, variant=made.variant, classes=8, seed=3)
    other = known_answers(7, variant=made.variant, classes=8, seed=4)
    assert np.array_equal(fewer.images, made.images[:7]) and np.array_equal(fewer.boxes, made.boxes[:7])
    assert np.array_equal(fewer.masks, made.masks[:7]) and np.array_equal(fewer.labels, made.labels[:7])
    assert not np.array_equal(fewer.images, other.images)


def test_the_visible_pixels_are_in_the_box_and_stand_out(made: KnownAnswers) -> None:
    for image, mask, box in zip(made.images / 255, made.masks, made.boxes, strict=True):
        frame = inside(box, 64)
        assert mask.any() and not (mask & ~frame).any()
        around = inside(np.clip(box + np.array([-3, -3, 3, 3]), 0, 64), 64) & ~frame
        assert np.abs(image[mask].mean(0) - image[around].mean(0)).mean() > 0.15


def test_a_texture_and_bars_change_neither_shapes_nor_boxes() -> None:
    plain, hard = known_answers(60, seed=2), known_answers(60, seed=2, textured=True, occluded=True)
    assert np.array_equal(plain.boxes, hard.boxes) and np.array_equal(plain.labels, hard.labels)
    visible = hard.masks.sum((1, 2)) / plain.masks.sum((1, 2))
    assert (visible <= 1).all() and 0.3 < (visible < 1).mean() < 0.7 and visible.min() > 0.2
    ground = [made.images[0][~plain.masks[0]].std(0).mean() for made in (plain, hard)]
    assert ground[1] > ground[0]


def test_every_class_is_drawn_in_a_shape_of_its_own() -> None:
    made = known_answers(200, classes=8)
    assert set(made.labels.tolist()) == set(range(8)) and made.classes == SHAPES
    filled = [
        np.mean([mask.sum() / (box[2] - box[0]) / (box[3] - box[1])
                 for mask, box in zip(made.masks[made.labels == k], made.boxes[made.labels == k], strict=True)])
        for k in range(8)
    ]  # fmt: skip
    assert filled[SHAPES.index("disc")] > filled[SHAPES.index("ring")] > 0.2


def test_a_cue_is_a_dot_of_its_class_s_colour_away_from_the_shape() -> None:
    made = known_answers(60, variant="cue", seed=1)
    assert made.cues is not None and made.cue_boxes is not None
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])
    for image, label, cue, cue_box, box in zip(
        made.images, made.labels, made.cues, made.cue_boxes, made.boxes, strict=True
    ):
        assert np.array_equal(image[int(cue[0]), int(cue[1])], colours[label])
        assert inside(cue_box, 64)[int(cue[0]), int(cue[1])]
        assert not (inside(cue_box, 64) & inside(box, 64)).any()
    share = np.mean(made.labels == made.shapes)
    assert share < 0.5, "the shape says nothing about the class"


def test_a_second_shape_is_of_another_class_and_apart() -> None:
    made = known_answers(60, variant="distractor", seed=1)
    assert made.second_shapes is not None and made.second_boxes is not None
    assert not (made.second_shapes == made.labels).any()
    for first, second in zip(made.boxes, made.second_boxes, strict=True):
        assert not (inside(first, 64) & inside(second, 64)).any()


def test_everything_grows_with_the_image() -> None:
    small, large = known_answers(8, size=32), known_answers(8, size=224)
    assert large.images.shape == (8, 224, 224, 3)
    np.testing.assert_allclose(large.boxes / 7, small.boxes, atol=1.0)
    assert np.array_equal(small.labels, large.labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": 1, "size": 16}, "size is 16"),
        ({"count": 1, "classes": 3}, "classes is 3"),
        ({"count": 1, "classes": 9}, "classes is 9"),
    ],
)
def test_what_can_not_be_made_is_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        known_answers(**settings)
