"""Accuracy of solved heads: the penalty's choice, scikit-learn on the same features, bf16, and two normalizations.

    python bench/solved_heads.py RUN DATA [--train 4000] [--draws 3]

RUN is a trained run whose network makes the features, DATA other images in train/ and test/ by class, or digits. Of the
training images some are drawn; heads are solved on their features, and their accuracy is measured on the test images:

- with the penalty that is best on 100 to 2,000 validation images, and with that of five folds of the training images;
- by scikit-learn's LogisticRegression with the same penalty on the same standardised features, and by its
  LogisticRegressionCV over the same grid and folds, with seconds;
- with features in bf16;
- with features of images normalised by their own mean and standard deviation in the place of the run's.

Each line is the mean over the draws. Times are this machine's as it is: nothing else should run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

import convscope
from convscope.data.batches import measure_normalization, to_floats
from convscope.data.open import open_dataset, probe
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.hardware.mode import ComputeMode
from convscope.report.table import Column, Table, print_table
from convscope.scoring import linear_penalty
from convscope.scoring.linear_penalty import GRID, HeadFit, Samples, fit_head
from convscope.scoring.objective import Objective
from convscope.training.probe.features import Backbone, compute_features
from convscope.training.probe.linear_head import find_head

Timed = TypeVar("Timed")
VALIDATION = (100, 200, 500, 1000, 2000)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", nargs="?")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--train", type=int, default=4000, help="training images of each draw")
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    if given.data is None:
        print("skipped: name a trained run, and images in train/ and test/ by class, or digits")
        return
    images = Images.of(given.run, given.data)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for draw in range(given.draws):
        for name, values in measured(images, train=given.train, seed=draw):
            found.setdefault(name, []).append(values)
    rows = []
    for name, values in found.items():
        accuracy, seconds, l2 = np.array(values).T
        rows.append(
            [name, f"{100 * accuracy.mean():.2f} %", f"{seconds.mean():.2f}", ", ".join(f"{v:.0e}" for v in l2)]
        )
    columns = [Column("head"), Column("test accuracy", numeric=True), Column("s", numeric=True), Column("penalties")]
    print(f"{given.run} on {given.data}: {given.train:,} training images, {given.draws} draws")
    print_table(Table.of(columns, rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """The features and labels of all images."""

    train: Samples
    test: Samples
    classes: int
    in_bf16: tuple[Samples, Samples]
    by_own_normalization: tuple[Samples, Samples]

    @classmethod
    def of(cls, run: str, data: str) -> Images:
        """Compute the features of every image with a run's network."""
        predictor = convscope.load(run)
        spec = predictor.spec
        with tempfile.TemporaryDirectory() as cache:
            dataset = open_dataset(
                probe(data),
                decoding=spec.decoding,
                validation_fraction=0.0,
                test_fraction=0.2,
                seed=0,
                cache_directory=Path(cache),
            )
            train, test = dataset.splits["train"], dataset.splits["test"]

            def features(precision: str, normalization: Normalization) -> tuple[Samples, Samples]:
                mode = ComputeMode(precision=precision, memory_format="contiguous", compile="no", threads=1)
                tried = to_floats(train.images[:4], normalization)
                backbone = Backbone(
                    network=predictor.network,
                    head=find_head(predictor.network, tried, classes=len(spec.classes)),
                    forward=mode.forward_of(predictor.network),
                    spec=replace(spec, preprocessing=replace(spec.preprocessing, normalization=normalization)),
                    device="cpu",
                    arithmetic=precision,
                    cache=None,
                )
                return samples_of(backbone, train), samples_of(backbone, test)

            exact = features("fp32", spec.normalization)
            return cls(
                train=exact[0],
                test=exact[1],
                classes=len(dataset.classes),
                in_bf16=features("bf16", spec.normalization),
                by_own_normalization=features("fp32", measure_normalization(train)),
            )


def samples_of(backbone: Backbone, images: ImageSet) -> Samples:
    """Return the features of a set of images."""
    found = compute_features(backbone, images)
    return Samples(features=found.views[0], targets=found.answers(images), units=found.rows)


def measured(images: Images, *, train: int, seed: int) -> list[tuple[str, tuple[float, float, float]]]:
    """Return of each kind of head its accuracy on the test images, its seconds and its penalty."""
    order = np.random.default_rng(seed).permutation(len(images.train.units))
    rows, others = order[:train], order[train:]
    learned, test, classes = images.train.part(rows), images.test, images.classes

    def solved(some: Samples, val: Samples | None = None, l2: float = 0.0) -> tuple[HeadFit, float]:
        return timed(lambda: fit_head(some, val, Objective(), classes=classes, biased=True, l2=l2, seed=seed))

    def right(found: HeadFit, of: Samples) -> float:
        scores = found.fit.scores(of.features.double())
        return float((scores.argmax(1) == of.targets).double().mean())

    lines = []
    linear_penalty.FEW_IMAGES = 0
    for count in (count for count in VALIDATION if count <= len(others)):
        found, seconds = solved(learned, images.train.part(others[:count]))
        lines.append((f"penalty by {count:,} validation images", (right(found, test), seconds, found.l2)))
    by_folds, seconds = solved(learned)
    lines.append(("penalty by 5 folds", (right(by_folds, test), seconds, by_folds.l2)))
    alone, seconds = solved(learned, l2=by_folds.l2)
    lines.append(("that penalty given", (right(alone, test), seconds, alone.l2)))
    for name, (some, of) in (
        ("the same, features in bf16", images.in_bf16),
        ("the same, normalised by the images' own", images.by_own_normalization),
    ):
        found, seconds = solved(some.part(rows), l2=by_folds.l2)
        lines.append((name, (right(found, of), seconds, found.l2)))
    return [*lines, *scikit_learns(learned, test, by_folds.l2)]


def scikit_learns(train: Samples, test: Samples, l2: float) -> list[tuple[str, tuple[float, float, float]]]:
    """Return the same of scikit-learn's, with the given penalty and over the grid."""
    scaler = StandardScaler().fit(train.features.numpy())
    x, y, asked = (
        scaler.transform(train.features.numpy()),
        train.targets.numpy(),
        scaler.transform(test.features.numpy()),
    )
    lines = []
    given = LogisticRegression(C=1 / (l2 * len(x)), max_iter=1000)
    folds = LogisticRegressionCV(
        Cs=[1 / (weight * len(x)) for weight in GRID],
        cv=5,
        scoring="neg_log_loss",
        max_iter=1000,
        use_legacy_attributes=False,
        l1_ratios=(0.0,),
    )
    for name, model in (("scikit-learn, that penalty", given), ("scikit-learn, 5 folds", folds)):
        _, seconds = timed(partial(model.fit, x, y))
        accuracy = float((model.predict(asked) == test.targets.numpy()).mean())
        weight = l2 if model is given else 1 / (float(model.C_) * len(x))
        lines.append((name, (accuracy, seconds, weight)))
    return lines


def timed(work: Callable[[], Timed]) -> tuple[Timed, float]:
    """Return what a call returns, and its seconds."""
    began = time.perf_counter()
    found = work()
    return found, time.perf_counter() - began


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
