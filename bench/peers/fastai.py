"""fastai: `vision_learner(resnet18, pretrained=False)`, batches of 64, `fit_one_cycle`, all at its defaults.

`--recipe small` is that of fastai's own results on Imagenette (examples/train_imagenette.py; the settings are those of
2020-01-train.md in its repository, for 5 and 20 epochs): an xresnet of squeeze-and-excitation blocks with Mish and
self-attention, ranger at a flat and then falling rate, smoothed labels, random crops and flips. Departures, for minutes
on a CPU: xse_resnet18 in place of xse_resnext50, of which few of such minutes hold an epoch; fp32; and 64 pixels in
place of 128 (the stem divides by four, so that smaller images are enlarged to that).

The epochs are as many as fit into the time, as a short trial tells that is not timed; nor is the validation after each
epoch, which gives the curve.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from peers.common import Clock, declare_torchvision, epochs_that_fit, not_here, options, side_of, write_result

SIDE = 64  # of a small recipe's images at least
SHARES = (0.05, 0.2)  # of an epoch, which a trial takes where it has so many
MANY_STEPS = 100

try:
    declare_torchvision()
    from fastai.vision.all import (
        Callback,
        FlipItem,
        ImageDataLoaders,
        LabelSmoothingCrossEntropyFlat,
        Learner,
        MaxPool,
        Mish,
        Normalize,
        RandomResizedCrop,
        ShortEpochCallback,
        accuracy,
        imagenet_stats,
        ranger,
        resnet18,
        set_seed,
        vision_learner,
        xse_resnet18,
    )
except Exception as error:  # a broken torchvision behind it raises anything
    not_here("fastai", error)


class Watching(Callback):
    """Stops the clock while it validates, and keeps what was found."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.curve, self.spent = clock, [], 0.0

    def before_train(self) -> None:
        self.began = time.perf_counter()

    def after_train(self) -> None:
        self.spent += time.perf_counter() - self.began

    def before_validate(self) -> None:
        self.at = self.clock.seconds()
        self.pause = self.clock.stopped()
        self.pause.__enter__()

    def after_validate(self) -> None:
        self.pause.__exit__(None, None, None)
        self.curve.append((self.at, float(self.learn.recorder.metrics[0].value)))


def default(data: Path, seed: int) -> Learner:
    loaders = ImageDataLoaders.from_folder(data, train="train", valid="test", seed=seed)
    return vision_learner(loaders, resnet18, pretrained=False, metrics=accuracy)


def small(data: Path, seed: int) -> Learner:
    size = max(SIDE, side_of(data))
    loaders = ImageDataLoaders.from_folder(
        data, train="train", valid="test", seed=seed, bs=64, batch_tfms=Normalize.from_stats(*imagenet_stats),
        item_tfms=[RandomResizedCrop(size, min_scale=0.35), FlipItem(0.5)],
    )  # fmt: skip
    network = xse_resnet18(n_out=loaders.c, act_cls=Mish, sa=1, pool=MaxPool)
    optimizer = partial(ranger, mom=0.95, sqr_mom=0.99, eps=1e-6)
    return Learner(loaders, network, opt_func=optimizer, loss_func=LabelSmoothingCrossEntropyFlat(), metrics=accuracy)


def fit(learn: Learner, epochs: int, recipe: str, callbacks: list[Callback]) -> None:
    if recipe == "small":
        learn.fit_flat_cos(epochs, 8e-3, wd=1e-2, cbs=callbacks)
    else:
        learn.fit_one_cycle(epochs, cbs=callbacks)


def seconds_per_epoch(trial: Learner, recipe: str) -> float:
    """Return the time of an epoch's training, from two parts of one; each starts the workers anew, as an epoch does."""
    shares = SHARES if len(trial.dls.train) >= MANY_STEPS else (0.5, 1.0)
    spent = []
    with trial.no_bar(), trial.no_logging():
        fit(trial, 1, recipe, [ShortEpochCallback(shares[0])])
        for share in shares:
            tried = Watching(Clock())
            fit(trial, 1, recipe, [ShortEpochCallback(share), tried])
            spent.append(tried.spent)
    rate = max(0.0, spent[1] - spent[0]) / (shares[1] - shares[0])
    return spent[0] + (1 - shares[0]) * rate


def main() -> None:
    given = options(__doc__, recipes=("default", "small"))
    clock = Clock()
    set_seed(given.seed)
    learner = partial(small if given.recipe == "small" else default, given.data, given.seed)

    epochs = given.epochs
    if epochs is None:
        with clock.stopped():
            epoch = seconds_per_epoch(learner(), given.recipe)
        epochs = epochs_that_fit(clock, given.minutes, epoch)
    set_seed(given.seed)
    learn, watching = learner(), Watching(clock)
    with learn.no_bar():
        fit(learn, epochs, given.recipe, [watching])
    learn.path = given.out
    learn.save("weights")
    saved = clock.seconds()
    write_result(
        given.out,
        seconds=saved,
        to_weights=saved,
        epochs=epochs,
        images_per_second=epochs * len(learn.dls.train_ds) / watching.spent,
        accuracy=watching.curve[-1][1],
        curve=watching.curve,
    )


if __name__ == "__main__":
    main()
