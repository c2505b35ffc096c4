"""The costs that are measured before the first step: of each part, with nothing of torch's changed."""

from __future__ import annotations

import torch

from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.training.autotune.measured_costs import measured_costs, sides_of
from convscope.training.opening import Opening
from convscope.training.session import prepare


def test_each_part_has_its_cost_and_torch_is_left_as_found() -> None:
    recipe = Recipe(
        data="digits",
        model="cifarnet-tiny",
        image_size="32",
        epochs=1,
        batch_size=16,
        progressive_resize_start=0.5,
        progressive_resize_share=0.6,
        autotune="rules",
    )
    session = prepare(recipe, Opening(listener=Silent()))
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    parts = session.dataset
    costs = measured_costs(session.resolved, session.spec, session.train, val=parts.val, test=parts.test)
    assert torch.equal(torch.random.get_rng_state(), before) and torch.get_num_threads() == threads
    assert costs.steps[-1][0] == 1.0
    assert [side for _, side in sides_of(session.resolved).parts] == [0.5, 0.625, 0.75, 1.0]
    assert all(seconds > 0 for _, seconds in costs.steps) and costs.epoch_end > 0 and costs.finish > 0
