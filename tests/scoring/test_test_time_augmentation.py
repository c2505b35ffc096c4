"""Test-time views: the weighted average of explicit forward passes, and the same wherever a run answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from convscope.data.batches import to_floats
from convscope.data.open import probe
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.files.fields import Fields
from convscope.nets.build import build
from convscope.nets.modules import evaluation_mode
from convscope.recipe.recipe import Recipe, choices
from convscope.runs.evaluate import evaluate
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.answer import answer, scores_of_images
from convscope.scoring.objective import Objective
from convscope.scoring.test_time_augmentation import VIEWS, scores_of_views
from convscope.training.resolve.resolve import resolve
from convscope.training.train import train

NORMALIZATION = Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build("alexnet-mini", num_classes=4, image_size=28)


def images(count: int = 5) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)
    return ImageSet(pixels, np.arange(count) % 4, [str(number) for number in range(count)])


def shifted(pixels: torch.Tensor, by: int, down: int, right: int) -> torch.Tensor:
    """Moved by `down` and `right` pixels, the gap filled with the mirror image of the border."""
    rows, columns = ((torch.arange(28) - step) for step in (down, right))
    reflect = [torch.where(index < 0, -index, torch.where(index > 27, 54 - index, index)) for index in (rows, columns)]
    assert max(abs(down), abs(right)) <= by
    return pixels[:, :, reflect[0]][:, :, :, reflect[1]]


def test_views_are_the_weighted_mean_of_explicit_passes(network):
    found = to_floats(images().images, NORMALIZATION)
    with evaluation_mode(network), torch.inference_mode():

        def both(x: torch.Tensor) -> torch.Tensor:
            return (network(x).double() + network(x.flip(3)).double()) / 2

        around = [both(shifted(found, 2, down, right)) for down in (2, -2) for right in (2, -2)]
        expected = {
            "one": network(found).double(),
            "flip": both(found),
            "flip-shift": both(found) / 2 + both(shifted(found, 1, 1, 1)) / 4 + both(shifted(found, 1, -1, -1)) / 4,
            "ten-crop": (both(found) + sum(around)) / 5,
        }
        assert set(expected) == set(VIEWS) == set(choices("tta")) - {"auto"}
        for name, scores in expected.items():
            plain, averaged = scores_of_views(network, found, name)
            assert torch.allclose(averaged, scores, atol=1e-6)
            assert torch.allclose(plain, expected["one"], atol=1e-6)


@pytest.mark.parametrize("views", list(VIEWS))
def test_weights_add_up_to_one_and_the_first_view_is_the_image(views):
    pixels = torch.rand(2, 3, 9, 12)
    seen = list(VIEWS[views](pixels))
    assert sum(weight for _, weight in seen) == pytest.approx(1)
    assert torch.equal(seen[0][0], pixels) and all(view.shape == pixels.shape for view, _ in seen)


def test_answers_come_with_one_view_and_with_all(network):
    objective = Objective()
    both = scores_of_images(network, images(), NORMALIZATION, views="flip")
    alone, averaged = (objective.probabilities_of(both[:, place]) for place in (0, 1))
    assert np.allclose(alone, answer(network, images(), NORMALIZATION, objective=objective))
    assert np.allclose(averaged, answer(network, images(), NORMALIZATION, objective=objective, views="flip"))
    assert not np.allclose(both[:, 0], both[:, 1])


def test_the_augmentation_is_in_model_json_and_evaluate_uses_it(tmp_path: Path):
    recipe = Recipe(model="lenet5", epochs=1, tta="flip-shift", threads=1)
    outcome = train("digits", recipe, runs_directory=tmp_path)
    assert json.loads(outcome.run.spec_path.read_text())["tta"] == "flip-shift"
    again = evaluate(outcome.run.path)
    assert again.scores.to_dict() == outcome.scores.to_dict()
    assert again.one_view == outcome.one_view is not None
    values = json.loads(outcome.run.spec_path.read_text())
    assert ModelSpec.of(Fields(values)).tta == "flip-shift"


def test_what_is_not_mirrored_in_training_is_not_when_it_is_tested_unless_asked_for():
    assert resolve(Recipe(model="cifarnet"), probe("digits")).recipe.tta == "one"
    assert resolve(Recipe(model="cifarnet", flip=True), probe("digits")).recipe.tta == "flip-shift"
    assert resolve(Recipe(tta="flip"), probe("digits")).recipe.tta == "flip"
