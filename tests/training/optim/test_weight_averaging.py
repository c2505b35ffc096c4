"""The averaged weights are the formula's, whatever the batch size; smaller images at first are what they say."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from convscope.data.open import probe
from convscope.data.training_batches import early_size, scaled_down
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.runs.run_directory import Run
from convscope.training.optim.weight_averaging import Average
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import choice_lines
from convscope.training.train import train


def test_the_average_is_the_plain_mean_at_first_and_then_forgets_as_the_formula_says():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(network, epochs=0.5)
    steps, expected = (
        8,
        {name: torch.zeros_like(value, dtype=torch.float64) for name, value in network.state_dict().items()},
    )
    for step in range(12):
        for value in network.state_dict().values():
            value.copy_(torch.full_like(value, step + 1.0))
        average.add(network, step, steps)
        share = max(1 - math.exp(-1 / (0.5 * steps)), 1 / (step + 1))
        for value in expected.values():
            value += (step + 1 - value) * share
        if step == 2:
            assert float(average.network[0].bias[0]) == pytest.approx(2.0)  # of 1, 2 and 3
    for name, value in average.network.state_dict().items():
        wanted = torch.full_like(value, 12) if name.endswith("num_batches_tracked") else expected[name].to(value.dtype)
        assert torch.allclose(value, wanted)
    assert not any(weight.requires_grad for weight in average.network.parameters())
    assert float(network[0].bias.detach()[0]) == 12


def test_half_as_large_batches_forget_as_much_in_an_epoch():
    average = Average(nn.Linear(1, 1), epochs=2.0)
    left = [(1 - average.share(10_000, steps)) ** steps for steps in (10, 20)]
    assert left == pytest.approx([math.exp(-0.5)] * 2)


def test_what_is_validated_and_written_is_the_average_and_the_raw_weights_go_on(tmp_path: Path):
    recipe = Recipe(model="lenet5", epochs=1, threads=1, learning_rate=0.1)
    runs = {
        average: train("digits", recipe.changed({"ema_epochs": average}), runs_directory=tmp_path)
        for average in (0.0, 1.0)
    }
    raw, averaged = (weights_of(runs[average].run) for average in (0.0, 1.0))
    assert not any(torch.equal(raw[name], averaged[name]) for name in raw)
    assert runs[0.0].best.accuracy != runs[1.0].best.accuracy or runs[0.0].best.loss != runs[1.0].best.loss


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return copy.deepcopy(run.network().state_dict())


def test_early_images_are_smaller_and_each_pixel_is_a_mean():
    batch = torch.arange(2 * 3 * 8 * 12, dtype=torch.float32).reshape(2, 3, 8, 12)
    assert early_size((8, 12), 0.5) == (4, 6) and early_size((8, 12), 0.75) == (6, 9)
    small = scaled_down(batch, (4, 6))
    assert small.shape == (2, 3, 4, 6)
    assert torch.allclose(small.mean((2, 3)), batch.mean((2, 3)), rtol=1e-3)
    assert scaled_down(batch, (8, 12)) is batch


@pytest.mark.parametrize("start", [0.1, 0.5, 0.6, 0.75, 1.0])
def test_images_grow_evenly_from_their_start_and_never_beyond_the_whole(start: float):
    sides = [early_size((32, 32), start, step / 100)[0] for step in range(100)]
    assert sides[0] == round(32 * start) and sides == sorted(sides) and sides[-1] <= max(24, sides[0])
    assert len(set(sides)) == 1 + int(max(0, 0.75 - start) * 8)


def test_smaller_images_are_said_and_settled():
    resolved = resolve(Recipe(model="cifarnet", progressive_resize_start=0.75), probe("digits"))
    assert "progressive resizing from 24x24 in the first 65% of the steps" in choice_lines(resolved.choices)
    # Grey images lose what tells them apart: only on request.
    assert resolve(Recipe(model="cifarnet"), probe("digits")).recipe.progressive_resize_share == 0.0
    assert resolve(Recipe(model="cifarnet", channels=3), probe("digits")).recipe.progressive_resize_share == 0.65
    assert (
        resolve(Recipe(model="cifarnet", progressive_resize_start=1.0), probe("digits")).recipe.progressive_resize_share
        == 0.0
    )


def test_images_too_small_to_begin_smaller_are_left_alone_unless_asked():
    small = Recipe(model="cifarnet", image_size="12")
    resolved = resolve(small, probe("digits")).recipe
    assert resolved.progressive_resize_share == 0.0
    assert resolve(resolved, probe("digits")).recipe == resolved
    with pytest.raises(RunError, match="gives 6x6 images"):
        resolve(replace(small, progressive_resize_start=0.5), probe("digits"))
