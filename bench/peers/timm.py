"""timm's resnet18 by the parts and defaults of its train.py at 32 pixels: SGD, cosine, smoothing 0.1.

Its script is not in its wheel. Kinder than its defaults, where these don't fit a run of minutes: bf16 arithmetic, and a
fifth of the epochs for warming up, not five. The epochs are as many as fit into the time, as a short trial tells that
is not timed; nor is measuring after each epoch, which gives the curve.
"""

from __future__ import annotations

import time

import torch
from safetensors.torch import save_file
from torch import nn

from peers.common import Clock, declare_torchvision, epochs_that_fit, not_here, options, write_result

SIDE, BATCH, RATE, WEIGHT_DECAY, SMOOTHING = 32, 128, 0.1 * 128 / 256, 2e-5, 0.1
TRIAL = 30  # steps

try:
    declare_torchvision()
    from timm import create_model
    from timm.data import create_dataset, create_loader, resolve_data_config
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
except Exception as error:  # a broken torchvision behind it raises anything
    not_here("timm", error)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = LabelSmoothingCrossEntropy(SMOOTHING)(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, loader: object) -> float:
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        right = [model(images).argmax(1) == labels for images, labels in loader]
    return torch.cat(right).float().mean().item()


def main() -> None:
    given = options(__doc__)
    clock = Clock()
    torch.manual_seed(given.seed)
    train, test = (
        create_dataset("", root=str(given.data), split=split, is_training=split == "train")
        for split in ("train", "test")
    )
    classes = sum(entry.is_dir() for entry in (given.data / "train").iterdir())

    def start() -> tuple[nn.Module, torch.optim.Optimizer, object, object]:
        model = create_model("resnet18", num_classes=classes)
        found = resolve_data_config({"img_size": SIDE}, model=model)
        same = {name: found[name] for name in ("input_size", "mean", "std")}
        same |= {"batch_size": BATCH, "num_workers": 2, "device": torch.device("cpu")}
        training = create_loader(train, is_training=True, interpolation="random", **same)
        measuring = create_loader(test, interpolation=found["interpolation"], crop_pct=found["crop_pct"], **same)
        optimizer = create_optimizer_v2(model, opt="sgd", lr=RATE, momentum=0.9, weight_decay=WEIGHT_DECAY)
        return model, optimizer, training, measuring

    epochs = given.epochs
    if epochs is None:
        with clock.stopped():
            model, optimizer, loader, _ = start()
            marks = []
            for images, labels in loader:
                step(model, optimizer, images, labels)
                marks.append(time.perf_counter())
                if len(marks) > TRIAL:
                    break
            seconds_per_epoch = (marks[-1] - marks[0]) / (len(marks) - 1) * len(loader)
        epochs = epochs_that_fit(clock, given.minutes, seconds_per_epoch)
    torch.manual_seed(given.seed)
    model, optimizer, loader, measuring = start()
    scheduler, _ = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=epochs, warmup_epochs=epochs // 5, warmup_lr=1e-5
    )
    curve: list[tuple[float, float]] = []
    training = 0.0
    for epoch in range(epochs):
        scheduler.step(epoch)
        model.train()
        before = time.perf_counter()
        for images, labels in loader:
            step(model, optimizer, images, labels)
        training += time.perf_counter() - before
        if epoch + 1 == epochs:
            save_file(model.state_dict(), given.out / "weights")
            saved = clock.seconds()
        with clock.stopped():
            curve.append((clock.seconds(), accuracy(model, measuring)))
    write_result(
        given.out,
        seconds=clock.seconds(),
        to_weights=saved,
        epochs=epochs,
        images_per_second=epochs * len(loader) * BATCH / training,
        accuracy=curve[-1][1],
        curve=curve,
    )


if __name__ == "__main__":
    main()
