"""AutoGluon's `MultiModalPredictor.fit(table, time_limit=..., presets="medium_quality")`, on image files and labels.

That is its preset for fast training (auto.gluon.ai/stable/tutorials/multimodal/advanced_topics/presets.html): timm's
mobilenetv3_large_100 at 224 pixels, AdamW. Its networks begin with weights that it fetches. Here every method starts
from fresh weights. Its `fit` has no setting for that, so timm's `create_model`, as it calls it, gets pretrained=False;
and as all layers are fresh, they have one rate (`optim.lr_choice`), not smaller ones towards the input. The rest is at
its defaults: fp32 on a CPU, two loader workers, images held back for its validation.

It plans for 20 epochs and stops in the middle of them at its own limit; the validation and the averaging of its best
weights come after that, and are in its time.
"""

from __future__ import annotations

import os
from pathlib import Path

from peers.common import Clock, declare_torchvision, not_here, options, write_result


def main() -> None:
    given = options(__doc__, recipes=("default",))
    clock = Clock()
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is fetched
    try:
        declare_torchvision()
        import pandas
        from autogluon.multimodal import MultiModalPredictor
        from autogluon.multimodal.models import timm_image
    except Exception as error:  # a broken torchvision behind it raises anything
        not_here("autogluon", error)

    build = timm_image.create_model
    timm_image.create_model = lambda name, **options: build(name, **{**options, "pretrained": False})

    def files(split: str) -> pandas.DataFrame:
        found = [file.resolve() for file in sorted((given.data / split).glob("*/*"))]
        return pandas.DataFrame({"image": list(map(str, found)), "label": [Path(file).parent.name for file in found]})

    predictor = MultiModalPredictor(
        label="label", problem_type="multiclass", path=str(given.out / "model"), verbosity=1
    )
    predictor.fit(
        files("train"),
        presets="medium_quality",
        seed=given.seed,
        time_limit=max(1, int(given.minutes * 60 - clock.seconds())) if given.epochs is None else None,
        hyperparameters={
            "model.names": ["timm_image"],
            "optim.lr_choice": "single_stage",
            "env.num_gpus": 0,
            **({"optim.max_epochs": given.epochs} if given.epochs else {}),
        },
    )
    saved = clock.seconds()
    found = predictor.evaluate(files("test"), metrics=["accuracy"])
    write_result(
        given.out,
        seconds=saved,
        to_weights=saved,
        epochs=given.epochs,
        images_per_second=None,
        accuracy=float(found["accuracy"]),
    )


if __name__ == "__main__":
    main()
