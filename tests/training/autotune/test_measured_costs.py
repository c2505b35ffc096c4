"""The costs that are measured before the first step: of each part, with nothing of torch's changed."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from convscope.hardware.run_queue import CoreWait
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.training.autotune import measured_costs as measuring
from convscope.training.autotune.measured_costs import measured_costs, sides_of
from convscope.training.autotune.trial import Work
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


def test_what_a_step_costs_whatever_its_images_is_no_part_of_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = []

    def step(work: Work, *, seconds: float, fastest: bool) -> float:
        timed.append(len(work.batch.pixels))
        return 0.03 + 0.001 * timed[-1]

    monkeypatch.setattr(measuring, "_timed_step", step)
    monkeypatch.setattr(measuring, "_seconds_to_prepare", lambda *given: 0.0)
    recipe = Recipe(data="digits", model="lenet5", epochs=1, batch_size=50, autotune="rules")
    session = prepare(recipe, Opening(listener=Silent()))
    costs = measured_costs(session.resolved, session.spec, session.train)
    # By a step of eight images alone it would be 0.2375. What is timed is a small part of the training.
    assert costs.step(1.0) == pytest.approx(0.08)
    assert timed[0] == 8 and 4 * sum(timed[1:]) <= 0.05 * len(session.train)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_the_time_of_waiting_for_a_core_is_said(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "core_wait", lambda: nullcontext(CoreWait(share)))
    session = prepare(Recipe(data="digits", model="lenet5", epochs=1, autotune="rules"), Opening(listener=Silent()))
    costs = measured_costs(session.resolved, session.spec, session.train)
    assert costs.of_time_alone == (0.6 if share == 0.4 else 1.0)
