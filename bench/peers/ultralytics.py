"""ultralytics: `YOLO("yolo11n-cls.yaml").train(data, imgsz=..., time=...)` from fresh weights, at the images' own size.

`--recipe small` uses its documented settings, chosen here for small images and short trainings: 64 pixels at least
(the network's stride is 32, so that 32 pixels end as one), batches of 64 in place of 16, a warm-up of a tenth of an
epoch in place of three (but of its 100 steps at least), cosine decay, neither random erasing nor RandAugment, and no
deterministic algorithms.

It fits its own schedule to the time that it is given; validation after each epoch is part of that.
"""

from __future__ import annotations

import os

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


def main() -> None:
    given = options(__doc__, recipes=("default", "small"))
    clock = Clock()
    side, settings_of_recipe = side_of(given.data), {}
    if given.recipe == "small":
        side, settings_of_recipe = max(SIDE, side), SMALL
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
    ends: list[float] = []
    curve: list[tuple[float, float]] = []

    def measured(trainer: object) -> None:
        if len(curve) < len(ends):  # the best epoch is measured once more at the end
            curve.append((clock.seconds(), trainer.metrics["metrics/accuracy_top1"]))

    model = YOLO("yolo11n-cls.yaml")
    model.add_callback("on_train_epoch_end", lambda trainer: ends.append(clock.seconds()))
    model.add_callback("on_fit_epoch_end", measured)
    began = clock.seconds()
    length = {"epochs": given.epochs} if given.epochs else {"time": max(1.0, given.minutes * 60 - began) / 3600}
    model.train(
        data=str(data), imgsz=side, seed=given.seed, project=str(given.out), plots=False, device="cpu", **length,
        **settings_of_recipe,
    )  # fmt: skip
    seconds = clock.seconds()
    images = sum(len(list(folder.iterdir())) for folder in (given.data / "train").iterdir())
    found = model.val(data=str(data), split="test", imgsz=side, plots=False, project=str(given.out))
    write_result(
        given.out,
        seconds=seconds,
        epochs=len(ends),
        images_per_second=len(ends) * images / (seconds - began),
        accuracy=found.top1,
        curve=curve,
    )


if __name__ == "__main__":
    main()
