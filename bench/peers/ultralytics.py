"""ultralytics: `YOLO("yolo11n-cls.yaml").train(data, imgsz=..., time=...)` from fresh weights, at the images' own size.

That is its documentation's example for CIFAR-10 (docs.ultralytics.com/datasets/classify/cifar10, with `imgsz=32`), and
`time` is its own budget, to which it fits its schedule after each epoch. It begins with the first step; what its start
took is taken off here. On a CPU it uses no AMP and no workers, by itself.

`--recipe small` uses its documented settings, chosen here for small images and short trainings: 64 pixels at least
(the network's stride is 32, so that 32 pixels end as one; its author has 128 for CIFAR, ultralytics/yolov5 issue 10435,
of which few of such minutes hold an epoch), batches of 64 in place of 16, a warm-up of a tenth of an epoch in place of
three, cosine decay, neither random erasing nor RandAugment, and no deterministic algorithms. With `--whole`
it has no random crops.

Validation after each epoch, which gives the curve, is timed by neither clock. The weights are those of the best epoch,
as it keeps them; it validates on the test images, as there are no others, so that this is in its favour. At the end of
its training it validates these weights once more: that is the accuracy.
"""

from __future__ import annotations

import os
import time

from peers.common import Clock, declare_torchvision, not_here, options, side_of, write_result

SIDE = 64  # of a small recipe's images at least
SMALL = {
    "batch": 64,
    "warmup_epochs": 0.1,
    "cos_lr": True,
    "erasing": 0.0,
    "auto_augment": None,
    "deterministic": False,
}


class Watching:
    """What its callbacks find: when the weights were saved, the steps, and the accuracy after each epoch."""

    def __init__(self, clock: Clock, minutes: float | None) -> None:
        self.clock, self.minutes = clock, minutes
        self.began = self.saved = 0.0
        self.steps = self.steps_of_epoch = 0
        self.curve: list[tuple[float, float]] = []

    def attach(self, model: object) -> None:
        """Have a model's trainer call this."""
        model.add_callback("on_train_start", self.starts)
        model.add_callback("on_train_batch_start", self.steps_on)
        model.add_callback("on_model_save", self.has_saved)

    def starts(self, trainer: object) -> None:
        """Give it what its start has left of the minutes, and let its validation take none of them."""
        validate = trainer.validate

        def untimed() -> object:
            at = time.time()
            with self.clock.stopped():
                found = validate()
            trainer.train_time_start += time.time() - at
            return found

        trainer.validate = untimed
        self.steps_of_epoch = len(trainer.train_loader)
        self.began = self.clock.seconds()
        if self.minutes is not None:
            trainer.args.time = max(1.0, self.minutes * 60 - self.began) / 3600

    def steps_on(self, trainer: object) -> None:
        """Count a step."""
        self.steps += 1

    def has_saved(self, trainer: object) -> None:
        """Note when an epoch's weights were saved, and what they reach."""
        self.saved = self.clock.seconds()
        self.curve.append((self.saved, float(trainer.metrics["metrics/accuracy_top1"])))

    @property
    def epochs(self) -> float:
        """Epochs that were trained; the last one may have been cut short."""
        return self.steps / self.steps_of_epoch


def main() -> None:
    given = options(__doc__, recipes=("default", "small"))
    clock = Clock()
    side, settings_of_recipe = side_of(given.data), {}
    if given.recipe == "small":
        side, settings_of_recipe = max(SIDE, side), SMALL | ({"scale": 0.0} if given.whole else {})
    # Its settings go where the run goes, and nothing is fetched.
    os.environ.update(YOLO_CONFIG_DIR=str(given.out), YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    try:
        declare_torchvision()
        from ultralytics import YOLO, settings
    except Exception as error:  # a broken torchvision behind it raises anything
        not_here("ultralytics", error)
    settings.update(sync=False)
    data = given.out / "data"  # it writes a cache beside the folders of images: here, not among the user's
    data.mkdir(exist_ok=True)
    for split in ("train", "test"):
        (data / split).symlink_to((given.data / split).resolve())

    model, watching = YOLO("yolo11n-cls.yaml"), Watching(clock, None if given.epochs else given.minutes)
    watching.attach(model)
    found = model.train(
        data=str(data), imgsz=side, seed=given.seed, project=str(given.out), plots=False, device="cpu",
        **({"epochs": given.epochs} if given.epochs else {"time": given.minutes / 60}), **settings_of_recipe,
    )  # fmt: skip
    images = sum(len(list(folder.iterdir())) for folder in (given.data / "train").iterdir())
    write_result(
        given.out,
        seconds=watching.saved,
        to_weights=watching.saved,
        epochs=watching.epochs,
        images_per_second=watching.epochs * images / (watching.saved - watching.began),
        accuracy=found.top1,
        curve=watching.curve,
    )


if __name__ == "__main__":
    main()
