"""One process of a training that `distributed.py` measures: noise in memory, no dropout, each step's loss and time."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convscope.hardware.allocator import prepare_memory

prepare_memory()  # before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from convscope.data.open import probe  # noqa: E402
from convscope.data.preprocessing import Normalization  # noqa: E402
from convscope.data.records import ImageSet  # noqa: E402
from convscope.nets.build import build  # noqa: E402
from convscope.recipe.recipe import Recipe  # noqa: E402
from convscope.runs.events import Silent  # noqa: E402
from convscope.scoring.objective import Objective  # noqa: E402
from convscope.training.distributed.launch import joined  # noqa: E402
from convscope.training.distributed.process_group import ProcessGroup  # noqa: E402
from convscope.training.distributed.shared_batch_norm import share_batch_norm  # noqa: E402
from convscope.training.loop.loop import fit  # noqa: E402
from convscope.training.loop.state import Settings, new_state  # noqa: E402
from convscope.training.resolve.resolve import resolve  # noqa: E402


def member(*, network: str, shared: bool, steps: int, batch: int, threads: int, out: str) -> None:
    """Train, and let the first process write down what was measured, without the first quarter of the steps."""
    torch.set_num_threads(threads)
    images = noise(steps * batch)
    settings = plain_settings(batch, threads)
    torch.manual_seed(0)
    made = without_dropout(network)
    with joined() as group:
        state = new_state(made, settings.resolved)
        if shared:
            share_batch_norm(state.network, group)
        clock = Clock()
        clock.watch(group)
        fit(state, settings, images, None, listener=Silent(), keep=lambda _: None, stop=bool, group=group)
        if group.first:
            Path(out).write_text(json.dumps(clock.found(batch, first=steps // 4)))


def noise(count: int) -> ImageSet:
    """Noise, 32x32 in ten classes, on a level of the class's own, so that there is something to learn."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 10, count)
    pixels = draw.integers(0, 128, (count, 32, 32, 3), dtype=np.uint8)
    pixels += (labels * 12).astype(np.uint8)[:, None, None, None]
    return ImageSet(pixels, labels, [""] * count)


def plain_settings(batch: int, threads: int) -> Settings:
    """Train one epoch in float32."""
    recipe = Recipe(
        model="lenet5",  # stands for the network, which is made here
        channels=3,
        image_size="32",
        epochs=1,
        batch_size=batch,
        optimizer="sgd",
        learning_rate=0.02,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="one-cycle",
        warmup=0.2,
        flip=True,
        random_crop_padding=4,
        autotune="rules",
        precision="fp32",
        memory_format="channels-last",
        compile="no",
        threads=threads,
        device="cpu",
    )
    resolved = resolve(recipe, probe("digits")).changed(batch_size=batch)
    return Settings(
        resolved=resolved,
        objective=Objective(label_smoothing=0.1),
        augmentation=resolved.augmentation,
        normalization=Normalization((0.4,) * 3, (0.2,) * 3),
    )


def without_dropout(name: str) -> nn.Module:
    """Return the network of that name for such images; its draws would differ between processes."""
    network = build(name, num_classes=10, in_channels=3, image_size=(32, 32))
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


@dataclass
class Clock:
    """Each step's loss, the moment its gradients were added up, and the seconds that this took."""

    losses: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    exchanges: list[float] = field(default_factory=list)

    def watch(self, group: ProcessGroup) -> None:
        """Measure whatever the team adds up."""
        add_up = group.add_up

        def measured(network: nn.Module, sums: Any) -> list[float]:
            began = time.perf_counter()
            found = add_up(network, sums)
            self.ended.append(time.perf_counter())
            self.exchanges.append(self.ended[-1] - began)
            self.losses.append(found[0])
            return found

        group.add_up = measured  # type: ignore[method-assign]

    def found(self, batch: int, *, first: int) -> dict[str, Any]:
        """Return all losses, and the rate and the exchange from step `first` on."""
        return {
            "losses": self.losses,
            "images_per_second": batch * (len(self.ended) - 1 - first) / (self.ended[-1] - self.ended[first]),
            "exchange_ms": 1000 * statistics.median(self.exchanges[first:]),
        }
