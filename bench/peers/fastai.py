"""fastai with its defaults: `vision_learner(resnet18, pretrained=False)`, batches of 64, `fit_one_cycle`.

The epochs are as many as fit into the time, as a short trial tells that is not timed; nor is the validation after each
epoch, which gives the curve.
"""

from __future__ import annotations

import time

from peers.common import Clock, declare_torchvision, epochs_that_fit, not_here, options, write_result

TRIALS = (0.05, 0.2)  # shares of an epoch; what both have in common, as starting the workers, is no part of their rate

try:
    declare_torchvision()
    from fastai.vision.all import (
        Callback,
        ImageDataLoaders,
        Learner,
        ShortEpochCallback,
        accuracy,
        resnet18,
        set_seed,
        vision_learner,
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


def main() -> None:
    given = options(__doc__)
    clock = Clock()
    set_seed(given.seed)

    def learner() -> Learner:
        loaders = ImageDataLoaders.from_folder(given.data, train="train", valid="test", seed=given.seed)
        return vision_learner(loaders, resnet18, pretrained=False, metrics=accuracy)

    epochs = given.epochs
    if epochs is None:
        with clock.stopped():
            trial = learner()
            spent = []
            with trial.no_bar(), trial.no_logging():
                trial.fit_one_cycle(1, cbs=ShortEpochCallback(TRIALS[0]))
                for share in TRIALS:
                    tried = Watching(Clock())
                    trial.fit_one_cycle(1, cbs=[ShortEpochCallback(share), tried])
                    spent.append(tried.spent)
        epoch = (spent[1] - spent[0]) / (TRIALS[1] - TRIALS[0])
        epochs = epochs_that_fit(clock, given.minutes, epoch)
    set_seed(given.seed)
    learn, watching = learner(), Watching(clock)
    with learn.no_bar():
        learn.fit_one_cycle(epochs, cbs=watching)
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
