"""fastai: `vision_learner(resnet18, pretrained=False)`, batches of 64, `fit_one_cycle`, all at its defaults.

`--recipe small` is that of fastai's own results on Imagenette (nbs/examples/train_imagenette.py in fastai/fastai; the
settings are those of 2020-01-train.md in fastai/imagenette, for 5 and 20 epochs): an xresnet of squeeze-and-excitation
blocks with Mish and self-attention, ranger at a flat and then falling rate, smoothed labels, random crops and flips.
Departures, for minutes on a CPU: xse_resnet18 in place of xse_resnext50, of which few of such minutes hold an epoch;
fp32; and 64 pixels in place of 128 (the stem divides by four, so that smaller images are enlarged to that). With
`--whole` it has no random crops.

Its epochs fill the time, as a short trial tells that is not timed; nor is the validation after each epoch, which gives
the curve. As whole epochs seldom do, there is one more than would fit, and each goes through as many images as fit,
drawn at random: so its rate falls to its end within the time.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from peers.common import Clock, declare_torchvision, not_here, options, side_of, write_result

SIDE = 64  # of a small recipe's images at least
TRIAL = (15, 60)  # steps of the two parts of a trial, or those of an epoch where it has fewer

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
        Resize,
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


def small(data: Path, seed: int, *, whole: bool) -> Learner:
    size = max(SIDE, side_of(data))
    # Beside random crops, fastai validates on the middle of an enlarged image; Resize keeps the whole one in both.
    resized = Resize(size) if whole else RandomResizedCrop(size, min_scale=0.35)
    loaders = ImageDataLoaders.from_folder(
        data, train="train", valid="test", seed=seed, bs=64, batch_tfms=Normalize.from_stats(*imagenet_stats),
        item_tfms=[resized, FlipItem(0.5)],
    )  # fmt: skip
    network = xse_resnet18(n_out=loaders.c, act_cls=Mish, sa=1, pool=MaxPool)
    optimizer = partial(ranger, mom=0.95, sqr_mom=0.99, eps=1e-6)
    return Learner(loaders, network, opt_func=optimizer, loss_func=LabelSmoothingCrossEntropyFlat(), metrics=accuracy)


def fit(learn: Learner, epochs: int, recipe: str, callbacks: list[Callback]) -> None:
    if recipe == "small":
        learn.fit_flat_cos(epochs, 8e-3, wd=1e-2, cbs=callbacks)
    else:
        learn.fit_one_cycle(epochs, cbs=callbacks)


@dataclass(frozen=True)
class Costs:
    """Seconds of an epoch's training: to start its workers, and to go through all images."""

    start: float
    images: float

    @classmethod
    def of(cls, trial: Learner, recipe: str) -> Costs:
        """Measure two parts of an epoch; each starts the workers anew, as an epoch does."""
        an_epoch = len(trial.dls.train)
        shares = [min(share, steps / an_epoch) for share, steps in zip((0.5, 1.0), TRIAL, strict=True)]
        spent = []
        with trial.no_bar(), trial.no_logging():
            fit(trial, 1, recipe, [ShortEpochCallback(shares[0])])
            for share in shares:
                tried = Watching(Clock())
                fit(trial, 1, recipe, [ShortEpochCallback(share), tried])
                spent.append(tried.spent)
        images = (spent[1] - spent[0]) / (shares[1] - shares[0])
        # On a busy machine the shorter part may have taken longer.
        return cls(spent[0] - shares[0] * images, images) if images > 0 else cls(0.0, spent[1] / shares[1])

    def fitting(self, seconds: float) -> tuple[int, float]:
        """Return the epochs that fill the time, and the share of the images that each has.

        >>> costs = Costs(start=2.0, images=18.0)
        >>> costs.fitting(40.0), costs.fitting(33.0), costs.fitting(11.0)
        ((2, 1.0), (2, 0.8055555555555556), (1, 0.5))
        """
        epochs = max(1, math.ceil(seconds / (self.start + self.images)))
        return epochs, max(0.01, (seconds / epochs - self.start) / self.images)


def draw(learn: Learner, share: float) -> float:
    """Have an epoch go through this share of the training images, drawn at random; return it, a batch at least."""
    train, images = learn.dls.train, len(learn.dls.train_ds)
    train.n = max(train.bs, round(share * images))
    train.get_idxs = lambda: random.sample(range(images), train.n)
    return train.n / images


def main() -> None:
    given = options(__doc__, recipes=("default", "small"))
    clock = Clock()
    set_seed(given.seed)
    learner = partial(default, given.data, given.seed)
    if given.recipe == "small":
        learner = partial(small, given.data, given.seed, whole=given.whole)

    epochs, share = given.epochs, 1.0
    if epochs is None:
        with clock.stopped():
            costs = Costs.of(learner(), given.recipe)
        epochs, share = costs.fitting(given.minutes * 60 - clock.seconds())
    set_seed(given.seed)
    learn, watching = learner(), Watching(clock)
    if share < 1:
        share = draw(learn, share)
    with learn.no_bar():
        fit(learn, epochs, given.recipe, [watching])
    learn.path = given.out
    learn.save("weights")
    saved = clock.seconds()
    write_result(
        given.out,
        seconds=saved,
        to_weights=saved,
        epochs=epochs * share,
        images_per_second=epochs * share * len(learn.dls.train_ds) / watching.spent,
        accuracy=watching.curve[-1][1],
        curve=watching.curve,
    )


if __name__ == "__main__":
    main()
