"""The accuracy that each candidate network reaches after 1, 2, 4, 8 and 16 epochs on each of the reference sets.

    python bench/accuracy_by_epochs.py [FOLDER] [--only TEXT] [--minutes M] [--images N] [--epochs 1 2 4] [--work PLACE]

Each point is a training of its own, with a whole schedule, by the command's own defaults but for the network, the size
of the images and the epochs. FOLDER (or the variable CONVSCOPE_DATASETS) holds the sets as train/ and test/ by class:
`cifar10/`, `mnist10k/` and, of large photographs, `photos/`; what is not there is left out and said. The grey crops are
made (`bench/grey_crops.py`), and the digits come along.

The table from which a training with a time budget chooses its network is written row by row. A point that is in it is
not measured again, and a training that was stopped (Ctrl-C, SIGTERM, or the end of `--minutes`) is resumed by the next
call, from PLACE; the whole table takes hours. `--images` takes that many training images of each set; the column
`images`, those of an epoch, says so. Choose by `val_accuracy`; `accuracy` is that of the test images.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import convscope
from convscope.data.open import Probe, probe
from convscope.hardware.allocator import prepare_memory
from convscope.report.table import Column, Table, print_table
from convscope.report.units import exact, percent
from convscope.runs.run_directory import Run
from convscope.scoring.scores import Scores
from convscope.training.resolve.budget import rows_to_learn, validation_fraction
from kit.images import reference_set
from kit.results import add_rows, read_rows, where_and_when

TABLE = Path(convscope.__file__).parent / "training" / "timing" / "accuracy_by_epochs.csv"
WORK = Path(tempfile.gettempdir()) / "convscope-accuracy-by-epochs"
KEY = ("set", "images", "network", "image_size", "epochs", "seed")
EPOCHS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Candidate:
    """A network with the side of its images in pixels; 0 for the side that it takes by itself."""

    network: str
    side: int = 0
    # Large images: trained on smaller ones at first.
    grows: bool = False


SMALL = tuple(Candidate(f"cifarnet{size}") for size in ("-tiny", "-small", "", "-large"))
LARGE = ("mobilenet_v3_small", "mobilenet_v3_large", "resnet18", "resnet50")
SETS = {
    "digits": (Candidate("lenet5"), *SMALL[:3]),
    "mnist10k": (Candidate("lenet5"), *SMALL[:3]),
    "grey-crops": (*SMALL, Candidate("resnet18")),
    "cifar10": (*SMALL, Candidate("resnet18")),
    "photos": tuple(Candidate(network, side, grows=True) for side in (160, 224) for network in LARGE),
}


@dataclass(frozen=True)
class Point:
    """A training to measure."""

    name: str
    candidate: Candidate
    epochs: int

    @property
    def text(self) -> str:
        """What `--only` looks for a text in."""
        side = f" {self.candidate.side}" if self.candidate.side else ""
        return f"{self.name} {self.candidate.network}{side} {self.epochs}"

    def recipe(self, seed: int) -> convscope.Recipe:
        """Return the recipe, in which nothing but this point is set."""
        asked: dict[str, object] = {"model": self.candidate.network, "epochs": self.epochs, "seed": seed}
        if self.candidate.side:
            asked["image_size"] = str(self.candidate.side)
        if self.candidate.grows:
            asked |= {"progressive_resize_start": 0.5, "progressive_resize_share": 0.6}
        return convscope.Recipe().changed({**asked, "autotune": "rules"})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--only", default="", help="points whose set, network, side and epochs contain these words")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no epoch after that")
    parser.add_argument("--images", type=int, default=0, help="training images of each set; 0: all")
    parser.add_argument("--epochs", type=int, nargs="+", default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=WORK, help="place of runs, caches and made images")
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args()
    ends = time.monotonic() + 60 * given.minutes
    prepare_memory()
    given.work.mkdir(parents=True, exist_ok=True)
    measure_all(given, ends)
    print_table(table(read_rows(given.table)))


def measure_all(given: argparse.Namespace, ends: float) -> None:
    """Measure the points that are asked for, and are not in the table, until the time is up."""
    for name in SETS:
        asked = [one for one in points_of(name, given.epochs) if set(given.only.split()) <= set(one.text.split())]
        data = source(name, given) if asked else None
        if asked and data is None:
            print(f"skipped: no {name} in {given.folder or 'CONVSCOPE_DATASETS'}")
            continue
        for point in asked:
            if time.monotonic() >= ends or not measure(point, data, given, ends):
                return


def points_of(name: str, epochs: list[int]) -> Iterator[Point]:
    """Return the points of a set, the cheap ones first."""
    for count in epochs:
        for candidate in SETS[name]:
            yield Point(name, candidate, count)


def source(name: str, given: argparse.Namespace) -> str | None:
    """Return the images of a set, made or copied where that is needed; None where there are none."""
    if name == "digits":
        return name
    folder = reference_set(name, given.folder, given.work / "data", images=given.images)
    return None if folder is None else str(folder)


def measure(point: Point, data: str, given: argparse.Namespace, ends: float) -> bool:
    """Train a point that is not in the table, and write its row; return whether there is time for the next."""
    recipe, found = point.recipe(given.seed), probe(data)
    row = {"set": point.name, "images": images_of_an_epoch(found, recipe), "network": point.candidate.network}
    known = {**row, "epochs": point.epochs, "seed": given.seed}
    for other in read_rows(given.table):
        same_size = not point.candidate.side or other["image_size"] == str(point.candidate.side)
        if same_size and all(other[column] == str(value) for column, value in known.items()):
            return True
    outcome = trained(point, data, recipe, given, ends)
    if outcome is None:
        return False
    assert isinstance(outcome.scores, Scores) and outcome.scores.split == "test" and outcome.best is not None
    spec = outcome.run.spec()
    measured = {
        "set": point.name,
        "images": row["images"],
        "classes": len(found.classes),
        "channels": spec.decoding.channels,
        "side": min(found.image_size),
        "network": point.candidate.network,
        "image_size": spec.decoding.size[0],
        "epochs": point.epochs,
        "accuracy": round(outcome.scores.accuracy_top1, 4),
        "val_accuracy": None if outcome.best.accuracy is None else round(outcome.best.accuracy, 4),
        "macs": convscope.inspect(outcome.run).graph.macs,
        "seed": given.seed,
        **where_and_when(),
    }
    add_rows(given.table, [measured], key=KEY)
    print(f"{point.text}: {percent(outcome.scores.accuracy_top1, decimals=2)}", flush=True)
    shutil.rmtree(outcome.run.path)
    return True


def images_of_an_epoch(found: Probe, recipe: convscope.Recipe) -> int:
    """Return how many images are trained on, those that are held back left out."""
    held_back = validation_fraction(recipe.validation_fraction, found.listing, test_fraction=recipe.test_fraction)
    rows, _ = rows_to_learn(
        found.listing, held_back=held_back, test_fraction=recipe.test_fraction, seed=recipe.seed_of_split
    )
    return len(rows)


def trained(
    point: Point, data: str, recipe: convscope.Recipe, given: argparse.Namespace, ends: float
) -> convscope.Outcome | None:
    """Train a point, or go on with its run, until it is done; None where the time was up before."""
    runs, cache = given.work / "runs", given.work / "cache"
    name = f"{Path(data).name} {point.text} {given.seed}".replace(" ", "-")

    def in_time(row: convscope.EpochRow) -> None:
        if time.monotonic() >= ends and row.epoch < point.epochs:
            raise convscope.StopTraining

    status = Run(runs / name).status() if (runs / name / "checkpoint").is_dir() else None
    if status is not None and status.state != "done":
        outcome = convscope.train(resume=runs / name, cache_directory=cache, on_epoch=in_time)
    else:
        shutil.rmtree(runs / name, ignore_errors=True)
        outcome = convscope.train(data, recipe, name=name, runs_directory=runs, cache_directory=cache, on_epoch=in_time)
    return outcome if outcome.ending == "done" else None


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row for each set and network: its cost, and the validation accuracy after each number of epochs."""
    epochs = sorted({int(row["epochs"]) for row in rows})
    columns = [Column(name) for name in ("set", "network")]
    columns += [Column(name, numeric=True) for name in ("images", "size", "MACs")]
    columns += [Column(f"{count} epoch{'s' if count > 1 else ''}", numeric=True) for count in epochs]
    lines: dict[tuple[str, ...], dict[int, str]] = {}
    for row in rows:
        line = (row["set"], row["network"], exact(int(row["images"])), row["image_size"], exact(int(row["macs"])))
        lines.setdefault(line, {})[int(row["epochs"])] = percent(float(row["val_accuracy"]))
    return Table.of(columns, [(*line, *(found.get(count, "") for count in epochs)) for line, found in lines.items()])


if __name__ == "__main__":
    main()
