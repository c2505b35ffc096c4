"""Attributions of trained networks as their layers get random weights: which methods stay as they are.

    python bench/weight_randomization.py [FOLDER] [--networks all] [--runs runs] [--images 20]

Trains small networks with `convscope.train` on the built-in digits, on `cifar10/` of FOLDER (or CONVSCOPE_DATASETS), on
crops of its `photos/` and on shapes, or takes their runs from `--runs`; one that was interrupted goes on. Each method
explains images that are classified rightly, with the trained weights and with random ones from the last layer down
(Adebayo et al. 2018, section 3).

A figure is the mean over images at each stage: the rank correlation of the absolute maps, that of the maps with their
signs, and SSIM of the absolute ones. "Upper" is the least correlation with signs while at most half of the layers are
random, "all" the absolute one with all of them random; a map fails where the first is above 0.5, or the absolute one at
every stage. A map of fewer than 16 cells is not judged. Guided backpropagation has to fail on nine images of ten,
gradient and Grad-CAM on at most one of five; of the methods that multiply by the input the figures are recorded.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

import convscope
from convscope.arrays import Floats
from convscope.data.sources.digits import load_digits
from convscope.interpret.attribution.checks.check import maps_by
from convscope.interpret.attribution.checks.randomized_weights import WeightRandomization, randomized_weights
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.subject import Subject, subject
from convscope.report.table import Column, Table, print_table
from kit.known_answer_task import earlier_run, task_of
from kit.results import RESULTS, add_rows, read_rows, where_and_when

KIT = Path(__file__).parent / "kit"
TESTED = 200  # images, of which those classified rightly are explained
METHODS = {
    "grad-cam": AttributionOptions(),
    "gradient": AttributionOptions(),
    "guided-backprop": AttributionOptions(),
    "gradient-times-input": AttributionOptions(),
    "integrated-gradients": AttributionOptions(steps=8),
}
FAILS, PASSES = 0.9, 0.2  # shares of the images
CROP, PHOTO = 64, (160, 128)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Images (N, H, W, C), their labels, and how many of them, from the end, are not trained on."""

    images: np.ndarray
    labels: np.ndarray
    classes: Sequence[str]
    tested: int = TESTED


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network that is trained here: its model, its data and its settings."""

    model: str
    data: Callable[[Path | None], Data | None]
    epochs: int
    learning_rate: float
    options: str = ""


def digits(folder: Path | None) -> Data:
    images, labels = load_digits()
    return Data(images=images, labels=labels, classes=[str(number) for number in range(10)])


def pictures(folder: Path | None, *, count: int = 8000) -> Data | None:
    """Return some of CIFAR-10's training images."""
    if folder is None or not (folder / "cifar10" / "train").is_dir():
        return None
    classes = sorted(path.name for path in (folder / "cifar10" / "train").iterdir())
    files = [(file, number) for number, name in enumerate(classes)
             for file in sorted((folder / "cifar10" / "train" / name).iterdir())]  # fmt: skip
    chosen = [files[row] for row in np.random.default_rng(0).permutation(len(files))[:count]]
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for file, _ in chosen])
    return Data(images=images, labels=np.array([label for _, label in chosen]), classes=classes)


def photographs(folder: Path | None, *, count: int = 5000) -> Data | None:
    """Return crops of photographs, whose class is the photograph."""
    files = sorted((folder / "photos").glob("*.JPEG")) if folder is not None else []
    if not files:
        return None
    whole = [np.asarray(Image.open(file).convert("RGB").resize(PHOTO)) for file in files]
    draw = np.random.default_rng(0)
    labels = draw.integers(0, len(files), count)
    tops, lefts = draw.integers(0, PHOTO[1] - CROP + 1, count), draw.integers(0, PHOTO[0] - CROP + 1, count)
    images = [whole[label][top : top + CROP, left : left + CROP]
              for label, top, left in zip(labels, tops, lefts, strict=True)]  # fmt: skip
    return Data(images=np.stack(images), labels=labels, classes=[file.stem for file in files])


NETWORKS = {
    "LeNet-5 with ReLU, digits": Trained(
        model="lenet5", options="activation=relu", data=digits, epochs=12, learning_rate=0.004
    ),
    "VGG without normalization, CIFAR-10": Trained(
        model=f"{KIT / 'vgg_like.py'}:network", data=pictures, epochs=5, learning_rate=0.001
    ),
    "ResNet-18, photographs": Trained(model="resnet18", data=photographs, epochs=2, learning_rate=0.002),
}
SHAPES = "residual network, shapes"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--networks", default="all", help="parts of their names, with commas")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are made, and taken from")
    parser.add_argument("--images", type=int, default=20, help="explained of each network")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of weight-randomization.csv")
    given = parser.parse_args()
    given.size, given.trained, given.epochs = 64, 10_000, None
    folder = Path(given.folder) if given.folder else None
    parts = given.networks.lower().split(",")
    for name in (*NETWORKS, SHAPES):
        if given.networks != "all" and not any(part in name.lower() for part in parts):
            continue
        found = shapes(given) if name == SHAPES else trained(name, folder, given.runs)
        if found is None:
            print(f"skipped: no data for {name} in {folder or 'CONVSCOPE_DATASETS'}")
            continue
        accuracy, right = found
        kept = list(measured(name, accuracy, right[: given.images]))
        add_rows(given.results / "weight-randomization.csv", kept, key=("network", "method"))
        rows = read_rows(given.results / "weight-randomization.csv")
        print_table(table([row for row in rows if row["network"] == name]))


def trained(name: str, folder: Path | None, runs: Path) -> tuple[float, list[tuple[Subject, int]]] | None:
    """Return a trained network's accuracy, and the images that it classifies rightly with their classes."""
    of = NETWORKS[name]
    data = of.data(folder)
    if data is None:
        return None
    path = runs / f"randomized-{Path(of.model.partition(':')[0]).stem}"
    earlier, complete = earlier_run(path, own_code=":" in of.model)
    if not complete:
        recipe = convscope.Recipe(
            model=of.model, model_options=of.options, epochs=of.epochs, batch_size=64, optimizer="adamw",
            learning_rate=of.learning_rate, random_resized_crop=False, progressive_resize_share=0.0, tta="one",
            autotune="rules",
        )  # fmt: skip
        given, classes = (data.images[: -data.tested], data.labels[: -data.tested]), list(data.classes)
        if earlier is None:
            convscope.train(given, recipe, classes=classes, name=path.name, runs_directory=runs)
        else:  # it was interrupted
            convscope.train(given, classes=classes, resume=earlier)
    predictor = convscope.load(path, trust_code=":" in of.model)
    subjects = [subject(predictor, image) for image in data.images[-data.tested :]]
    pairs = list(zip(subjects, data.labels[-data.tested :].tolist(), strict=True))
    right = [(one, label) for one, label in pairs if int(one.replay.class_scores.argmax()) == label]
    return len(right) / len(pairs), right


def shapes(given: argparse.Namespace) -> tuple[float, list[tuple[Subject, int]]]:
    """Return the same of the network of `bench/known_answer.py`."""
    task = task_of("plain", given)
    return task.accuracy, [(task.subjects[row], int(task.made.labels[row])) for row in task.right]


def measured(name: str, accuracy: float, right: Sequence[tuple[Subject, int]]) -> Iterator[dict[str, object]]:
    """Yield a row for each method: means over the images at each stage."""
    methods = {method: partial(maps_by, method, options) for method, options in METHODS.items()}
    found: dict[str, list[WeightRandomization]] = {method: [] for method in methods}
    for seed, (of, label) in enumerate(right):
        for method, one in randomized_weights(of, methods, label, seed=seed).items():
            found[method].append(one)
    for method, each in found.items():
        fails = float(np.mean([one.fails for one in each]))
        upper = means([[one.upper_random] for one in each])[0]
        required, met = "", ""
        if method == "guided-backprop":
            required, met = f"fails on at least {FAILS:.0%}", "yes" if fails >= FAILS else "no"
        elif method in ("gradient", "grad-cam"):
            required, met = f"fails on at most {PASSES:.0%}", "yes" if fails <= PASSES else "no"
        yield {
            "network": name, "accuracy": f"{accuracy:.4f}", "images": len(each), "method": method,
            "cells": each[0].cells, "random": spaced(each[0].random_layers),
            "rank": spaced(means([one.rank_correlations for one in each])),
            "signed": spaced(means([one.signed_correlations for one in each])),
            "ssim": spaced(means([one.structural_similarities for one in each])),
            "upper": f"{upper:.4f}", "all": f"{means([[one.all_random] for one in each])[0]:.4f}",
            "fails": f"{fails:.4f}", "required": required, "met": met, **where_and_when(),
        }  # fmt: skip


def means(rows: Sequence[Sequence[float | None]]) -> Floats:
    """Return the mean of each column, constant maps left out."""
    found: Floats = np.nanmean(np.array(rows, np.float64), axis=0)
    return found


def spaced(numbers: Sequence[float] | Floats) -> str:
    """Return numbers with spaces between them, two digits of those that are not whole."""
    return " ".join(str(number) if isinstance(number, int) else f"{number + 0.0:.2f}" for number in numbers)


def table(rows: list[dict[str, str]]) -> Table:
    """Return each method's figures on each network."""
    columns = [Column("network"), Column("method"), Column("cells", numeric=True), Column("random layers"),
               Column("rank correlation"), Column("with signs"), Column("SSIM"), Column("upper", numeric=True),
               Column("all", numeric=True), Column("fails", numeric=True), Column("required"),
               Column("met")]  # fmt: skip
    return Table.of(columns, [
        (f"{row['network']} ({float(row['accuracy']):.0%})", row["method"], row["cells"], row["random"], row["rank"],
         row["signed"], row["ssim"], f"{float(row['upper']):.2f}", f"{float(row['all']):.2f}",
         f"{float(row['fails']):.0%}", row["required"], row["met"])
        for row in rows
    ])  # fmt: skip


if __name__ == "__main__":
    main()
