"""Settings that each may be, and can't be meant together."""

from __future__ import annotations

import pytest

from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import SettingValue


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"autotune": "fp32", "precision": "bf16"}, "autotune fp32 and precision bf16 contradict"),
        ({"validation_fraction": 0.6, "test_fraction": 0.4}, "leave no image to train on"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "a margin needs the one right class; take 0"),
        ({"loss": "hinge", "cutmix": 1.0}, "mixup and cutmix make soft labels"),
    ],
)
def test_what_can_not_go_together_is_refused(settings: dict[str, SettingValue], message: str) -> None:
    for name, value in settings.items():
        Recipe.from_dict({name: value})
    with pytest.raises(RunError) as caught:
        Recipe.from_dict(settings)
    assert message in str(caught.value)
