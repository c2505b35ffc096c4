"""The report's pictures are the very images that the network got in its first step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from convscope.data.batches import measure_normalization
from convscope.data.open import probe
from convscope.data.preprocessing import Preprocessing
from convscope.data.records import ImageSet
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.runs.model_spec import ModelSpec
from convscope.training.loop.loop import fit
from convscope.training.loop.state import batches_of, loop_settings, new_state
from convscope.training.report.pictures import FILTER_SIDE, FILTERS_ACROSS, GAP, filter_sheet, first_batch
from convscope.training.resolve.resolve import resolve


@pytest.mark.parametrize(
    "settings",
    [
        {"mixup": 0.4, "cutmix": 1.0, "trivial_augment": True},
        {"pca_lighting": 0.3, "flip": True, "cutout": 8, "random_crop_padding": 3},
        {"model": "cifarnet", "progressive_resize_start": 0.5, "progressive_resize_share": 0.5},
    ],
)
def test_what_is_shown_is_what_the_network_got(settings: dict[str, Any]) -> None:
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    train = ImageSet(pixels, np.arange(20) % 10, [str(number) for number in range(20)])
    usual: dict[str, Any] = {"model": "lenet5", "channels": 3, "batch_size": 10, "epochs": 1}
    recipe = Recipe(**{**usual, **settings}, precision="fp32", threads=1)
    resolved = resolve(recipe, probe("digits"))
    spec = ModelSpec(
        name=recipe.model,
        options={},
        preprocessing=Preprocessing(
            decoding=resolved.decoding, normalization=measure_normalization(train), classes=tuple(map(str, range(10)))
        ),
    )
    loop = loop_settings(resolved, spec, train)
    network = spec.build()
    got: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda module, given: got.append(given[0].clone()))
    fit(
        new_state(network, loop.resolved),
        loop,
        train,
        None,
        listener=Silent(),
        keep=lambda state: None,
        stop=lambda: len(got) > 0,
    )
    shown, targets = first_batch(batches_of(loop, train), count=6)
    mean, std = (np.array(part) for part in (spec.normalization.mean, spec.normalization.std))
    levels = (got[0][:6].permute(0, 2, 3, 1).numpy() * std + mean) * 255
    assert np.array_equal(np.stack(shown), np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    assert all(sum(share for _, share in target) == pytest.approx(1) for target in targets)
    assert any(len(target) == 2 for target in targets) == ("mixup" in settings)


@pytest.mark.parametrize("size", [(5, 5), (1, 25), (25, 1)])
def test_filters_of_any_shape_have_a_sheet_of_limited_size(size: tuple[int, int]) -> None:
    drawn = filter_sheet(torch.randn(30, 1, *size), 3.0)
    assert max(drawn.shape[:2]) <= FILTERS_ACROSS * (FILTER_SIDE + GAP) and drawn.dtype == np.uint8
