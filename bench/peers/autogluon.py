"""AutoGluon's `MultiModalPredictor(pretrained=False).fit(table, time_limit=...)` on a table of files and labels.

Its presets are networks with weights that it fetches; here every method starts from fresh ones, so the network is the
smallest that its pages name for images, timm's resnet18, in place of a large transformer. It holds images back for its
validation, fits its schedule to its own limit, and scales images by its own rules (to 224 pixels): all at its defaults.
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
    except Exception as error:  # a broken torchvision behind it raises anything
        not_here("autogluon", error)

    def files(split: str) -> pandas.DataFrame:
        found = [file.resolve() for file in sorted((given.data / split).glob("*/*"))]
        return pandas.DataFrame({"image": list(map(str, found)), "label": [Path(file).parent.name for file in found]})

    predictor = MultiModalPredictor(
        label="label", problem_type="multiclass", pretrained=False, path=str(given.out / "model"), verbosity=1
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
