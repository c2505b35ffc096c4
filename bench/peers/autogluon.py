"""AutoGluon's `MultiModalPredictor.fit(table, time_limit=...)` on a table of image files and labels.

Its presets are large networks with weights that it fetches. Here every method starts from fresh weights, for which its
`fit` has no setting, so the function that builds timm's networks for it is told to; and the network is a small one,
timm's resnet18. The rest is at its defaults: it holds images back for its validation, scales them to 224 pixels, and
stops at its own limit.
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
    train = files("train")
    predictor.fit(
        train,
        seed=given.seed,
        time_limit=max(1, int(given.minutes * 60 - clock.seconds())) if given.epochs is None else None,
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": "resnet18",
            "env.num_gpus": 0,
            "env.num_workers": 2,
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
