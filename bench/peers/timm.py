"""timm's resnet18 by the parts and defaults of its train.py at the images' own size: SGD, cosine, smoothing 0.1.

Its script is not in its wheel (huggingface.co/docs/timm/training_script). In its favour, where its defaults don't
fit a run of minutes: bf16 arithmetic (`--amp --amp-dtype bfloat16`), and a fifth of the epochs for warming up, not
five. It has four loader workers, and no more than there are cores. It trains as many steps as fit into the time, as a
short trial tells that is not timed; nor is measuring after each epoch, which gives the curve. The last epoch is cut
short.

`--recipe small` has what its author uses for his smallest networks (gist.github.com/rwightman, 9ba8efc39a54):
AdamW, light RandAugment, gradients clipped, smoothing 0.1, channels last; with a 3x3 stem of stride 1, as ResNets for
CIFAR-10 have. Rate, weight decay, crops: chosen here. Departures, for minutes on a CPU: the max-pool stays, without
which few of such minutes hold an epoch; no crop below half of an image, and none at all with `--whole`; and the rate
falls step by step (`--sched-on-updates`), over as many steps as fit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from peers.common import Clock, declare_torchvision, not_here, options, side_of, write_result

BATCH, SMOOTHING, WORKERS = 128, 0.1, 4
TRIAL = 30  # steps

try:
    declare_torchvision()
    from timm import create_model
    from timm.data import create_dataset, create_loader, resolve_data_config
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler, create_scheduler_v2
except Exception as error:  # a broken torchvision behind it raises anything
    not_here("timm", error)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe sets; the rest is timm's."""

    optimizer: dict[str, Any]
    augmentation: dict[str, Any] = field(default_factory=dict)
    crop_pct: float | None = None  # share of an image's side that it is measured on; None for that of the network
    clip: float | None = None  # the norm of the gradients
    small_stem: bool = False
    by_step: bool = False  # the length and the rate go by steps, not by epochs
    memory_format: torch.memory_format = torch.contiguous_format


RECIPES = {
    "default": Recipe(optimizer={"opt": "sgd", "lr": 0.1 * BATCH / 256, "momentum": 0.9, "weight_decay": 2e-5}),
    "small": Recipe(
        optimizer={"opt": "adamw", "lr": 2e-3, "weight_decay": 0.05},
        augmentation={"auto_augment": "rand-m3-inc1-mstd101", "scale": (0.5, 1.0)},
        clip=5.0,
        small_stem=True,
        by_step=True,
        memory_format=torch.channels_last,
    ),
}


@dataclass(frozen=True)
class Run:
    """A network with what trains and measures it."""

    recipe: Recipe
    model: nn.Module
    optimizer: torch.optim.Optimizer
    training: Any
    measuring: Any

    @classmethod
    def of(cls, data: Path, recipe: Recipe) -> Run:
        """Return a run with fresh weights on train/ and test/ of a folder."""
        train, test = (
            create_dataset("", root=str(data), split=split, is_training=split == "train") for split in ("train", "test")
        )
        classes = sum(entry.is_dir() for entry in (data / "train").iterdir())
        model = create_model("resnet18", num_classes=classes)
        if recipe.small_stem:
            model.conv1 = nn.Conv2d(3, model.conv1.out_channels, 3, padding=1, bias=False)
        model = model.to(memory_format=recipe.memory_format)
        found = resolve_data_config({"img_size": side_of(data)}, model=model)
        same = {name: found[name] for name in ("input_size", "mean", "std")}
        same |= {
            "batch_size": min(BATCH, len(train)),
            "num_workers": min(WORKERS, os.cpu_count() or 1),
            "device": torch.device("cpu"),
        }
        training = create_loader(train, is_training=True, interpolation="random", **same, **recipe.augmentation)
        measuring = create_loader(
            test, interpolation=found["interpolation"], crop_pct=recipe.crop_pct or found["crop_pct"], **same
        )
        return cls(recipe, model, create_optimizer_v2(model, **recipe.optimizer), training, measuring)

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Train on a batch."""
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self.model(images.contiguous(memory_format=self.recipe.memory_format))
            loss = LabelSmoothingCrossEntropy(SMOOTHING)(outputs, labels)
        self.optimizer.zero_grad()
        loss.backward()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()

    def costs(self) -> tuple[float, float]:
        """Return the seconds of the first step, which starts the workers, and of a later one, over `TRIAL` steps."""
        marks: list[float] = []
        began = time.perf_counter()
        while len(marks) <= TRIAL:
            for images, labels in self.training:
                self.step(images, labels)
                marks.append(time.perf_counter())
                if len(marks) > TRIAL:
                    break
        return marks[0] - began, (marks[-1] - marks[0]) / TRIAL

    def train(self, steps: int, *, after_epoch: Callable[[int], None]) -> None:
        """Train `steps` steps; `after_epoch` is given the number done at the end of each epoch, and of all."""
        an_epoch, done = len(self.training), 0
        if self.recipe.by_step:
            scheduler = CosineLRScheduler(
                self.optimizer, steps, warmup_t=steps // 5, warmup_lr_init=1e-5, t_in_epochs=False
            )
        else:
            epochs = math.ceil(steps / an_epoch)
            scheduler, _ = create_scheduler_v2(
                self.optimizer, sched="cosine", num_epochs=epochs, warmup_epochs=epochs // 5, warmup_lr=1e-5
            )
        while done < steps:
            scheduler.step(done // an_epoch)
            self.model.train()
            for images, labels in self.training:
                scheduler.step_update(done)
                self.step(images, labels)
                done += 1
                if done == steps:
                    break
            after_epoch(done)


@torch.no_grad()
def accuracy(model: nn.Module, loader: object) -> float:
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        right = [model(images).argmax(1) == labels for images, labels in loader]
    return torch.cat(right).float().mean().item()


def main() -> None:
    given = options(__doc__, recipes=tuple(RECIPES))
    clock = Clock()
    recipe = RECIPES[given.recipe]
    if given.whole and given.recipe == "small":
        whole = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
        recipe = replace(recipe, augmentation=recipe.augmentation | whole, crop_pct=1.0)
    torch.manual_seed(given.seed)
    with clock.stopped():
        trial = Run.of(given.data, recipe)
        an_epoch = len(trial.training)
        first, later = trial.costs()
    torch.manual_seed(given.seed)
    run = Run.of(given.data, recipe)
    if given.epochs:
        steps = given.epochs * an_epoch
    else:
        steps = 1 + max(0, int((given.minutes * 60 - clock.seconds() - first) / later))
    curve: list[tuple[float, float]] = []
    saved, weights = 0.0, given.out / "weights"

    def after_epoch(done: int) -> None:
        nonlocal saved
        if done == steps:
            # Only tensors in their own order can be saved.
            save_file({name: tensor.contiguous() for name, tensor in run.model.state_dict().items()}, weights)
            saved = clock.seconds()
        with clock.stopped():
            curve.append((clock.seconds(), accuracy(run.model, run.measuring)))

    began = clock.seconds()
    run.train(steps, after_epoch=after_epoch)
    write_result(
        given.out,
        seconds=saved,
        to_weights=saved,
        epochs=steps / an_epoch,
        images_per_second=steps * BATCH / (saved - began),
        accuracy=curve[-1][1],
        curve=curve,
    )


if __name__ == "__main__":
    main()
