"""What is said of a training before it begins: its network, and a loss that is not the usual one."""

from __future__ import annotations

import pytest

from resolved_recipes import resolved_with


@pytest.mark.parametrize("loss", ["softmax", "hinge", "logistic"])
def test_a_loss_that_was_asked_for_is_named(loss: str) -> None:
    notice, *_ = resolved_with(loss=loss).introduction(processes=1)
    assert notice.topic == "network" and (f" weights, {loss} loss, on cpu" in notice.message) == (loss != "softmax")
