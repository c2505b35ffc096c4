"""Whatever needs a training batch gets the same pixels and targets for the same (seed, epoch, step)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convscope.api.generators import OwnGenerators
from convscope.data.batches import measure_normalization
from convscope.data.open import probe
from convscope.data.preprocessing import Preprocessing
from convscope.data.records import ImageSet
from convscope.errors import DataError
from convscope.experiments import learning_rate_range
from convscope.hardware.rank import Rank
from convscope.recipe.recipe import Recipe
from convscope.runs.events import Silent
from convscope.runs.model_spec import ModelSpec
from convscope.scoring.objective import LossOutput, Objective
from convscope.training.autotune.make import work_of
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop.loop import fit
from convscope.training.loop.state import Settings, batches_of, loop_settings, new_state
from convscope.training.report.pictures import first_batch
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import ResolvedRecipe

# The last batch of an epoch has 6 images, two for each of three processes.
IMAGES, BATCH, EPOCHS = 26, 10, 2
TRAIN = ImageSet(
    np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8),
    np.arange(IMAGES) % 10,
    [str(number) for number in range(IMAGES)],
)
ALL_STEPS: list[dict[str, Any]] = [
    {"mixup": 0.4, "cutmix": 1.0, "trivial_augment": True},
    {"pca_lighting": 0.3, "flip": True, "cutout": 8, "random_crop_padding": 3},
    {"model": "cifarnet", "progressive_resize_start": 0.5, "progressive_resize_share": 0.5},
    {"flip": True, "flip_mode": "alternating", "random_resized_crop": True, "mixup": 0.2},
]


def resolved_of(settings: dict[str, Any]) -> tuple[ResolvedRecipe, ModelSpec, Settings]:
    usual: dict[str, Any] = {
        "model": "lenet5",
        "channels": 3,
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "autotune": "rules",
    }
    resolved = resolve(Recipe(**{**usual, **settings}, precision="fp32", threads=1), probe("digits"))
    spec = ModelSpec(
        name=str(resolved.recipe.model),
        options={},
        preprocessing=Preprocessing(
            decoding=resolved.decoding, normalization=measure_normalization(TRAIN), classes=tuple(map(str, range(10)))
        ),
    )
    return resolved, spec, loop_settings(resolved, spec, TRAIN)


class Recorder:
    """Keeps the pixels and targets that a network is trained on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pixels: list[Tensor] = []
        self.targets: list[Tensor] = []
        of_answer = Objective.of_answer

        def record(objective: Objective, network: nn.Module, answer: Any, targets: Tensor) -> LossOutput:
            self.targets.append(targets.clone())
            return of_answer(objective, network, answer, targets)

        monkeypatch.setattr(Objective, "of_answer", record)

    def watch(self, network: nn.Module) -> nn.Module:
        self.pixels, self.targets = [], []
        network.register_forward_pre_hook(lambda module, inputs: self.pixels.append(inputs[0].clone()))
        return network


@pytest.mark.parametrize("settings", ALL_STEPS)
def test_loop_range_test_trials_and_report_see_the_same_batches(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.training.loop.loop.FEW_STEPS", 0)  # forwards of training batches alone
    resolved, spec, loop = resolved_of(settings)
    recorder = Recorder(monkeypatch)
    network = recorder.watch(spec.build())
    fit(new_state(network, loop.resolved), loop, TRAIN, None, listener=Silent(), keep=lambda state: None, stop=bool)
    of_loop = list(zip(recorder.pixels, recorder.targets, strict=True))
    assert len(of_loop) == 3 * EPOCHS

    rates = recorder.watch(spec.build())
    learning_rate_range._sweep(loop, rates, TRAIN, 3 * EPOCHS, Silent(), OwnGenerators(loop.resolved.seed))
    of_range_test = list(zip(recorder.pixels, recorder.targets, strict=True))
    assert len(of_range_test) > 3
    for one, other in zip(of_loop, of_range_test, strict=False):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])

    # The time of a step is measured at full size, whatever size the first steps have.
    trial = work_of(resolved, spec, TRAIN).batch
    assert trial.pixels.shape == (BATCH, 3, 32, 32) and torch.equal(trial.targets, of_loop[0][1])
    assert loop.resolved.progressive_resize_share or torch.equal(trial.pixels, of_loop[0][0])

    shown, _ = first_batch(batches_of(loop, TRAIN), count=6)
    mean, std = (np.array(part) for part in (spec.normalization.mean, spec.normalization.std))
    levels = (of_loop[0][0][:6].permute(0, 2, 3, 1).numpy() * std + mean) * 255
    assert np.array_equal(np.stack(shown), np.clip(np.rint(levels), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("settings", ALL_STEPS)
@pytest.mark.parametrize("size", [2, 3])
def test_the_shares_of_several_processes_are_the_batch(settings: dict[str, Any], size: int) -> None:
    _, _, loop = resolved_of(settings)
    whole = batches_of(loop, TRAIN)
    groups = [ProcessGroup(Rank(rank=rank, size=size, local_rank=rank, local_size=size)) for rank in range(size)]
    shares = [batches_of(loop, TRAIN, share=group.rows) for group in groups]
    for epoch in range(EPOCHS):
        for one, *parts in zip(whole.epoch(epoch), *(share.epoch(epoch) for share in shares), strict=True):
            assert {part.images for part in parts} == {len(one.pixels)} == {one.images}
            assert torch.equal(torch.cat([part.targets for part in parts]), one.targets)
            assert torch.allclose(torch.cat([part.pixels for part in parts]), one.pixels, atol=1e-5)


def test_a_last_batch_of_one_image_is_joined_to_the_one_before() -> None:
    whole = batches_of(resolved_of({})[2], TRAIN)
    for batch_size, sizes in ((10, [10, 10, 6]), (25, [26]), (5, [5, 5, 5, 5, 6]), (30, [26]), (1, [1] * 26)):
        batches = replace(whole, batch_size=batch_size)
        assert [len(batch.pixels) for batch in batches.epoch(0)] == sizes
        assert [batch.images for batch in batches.epoch(0)] == sizes and len(batches) == len(sizes)


def test_a_process_without_a_share_of_a_batch_has_an_empty_one() -> None:
    mixed = batches_of(resolved_of({"mixup": 0.2, "cutmix": 1.0, "flip": True})[2], TRAIN)
    last = ProcessGroup(Rank(rank=3, size=4))
    batches = list(replace(mixed, batch_size=11, share=partial(last.rows, least=2)).epoch(0))
    assert [(len(batch.pixels), len(batch.targets), batch.images) for batch in batches] == [(3, 3, 11)] * 2 + [
        (0, 0, 4)
    ]


def test_a_batch_size_of_none_is_refused() -> None:
    whole = batches_of(resolved_of({})[2], TRAIN)
    with pytest.raises(DataError, match="batch size 0"):
        replace(whole, batch_size=0).first()
