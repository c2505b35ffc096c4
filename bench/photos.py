"""Training from photo files: images a second of ResNet-18 at 224 pixels, beside the same loop on ready tensors.

    python bench/photos.py [FOLDER] [--images 5000] [--rounds 2]

FOLDER (or the variable CONVSCOPE_DATASETS) holds `photos/` with one photograph a class (n01558993_robin.JPEG). From
them `--images` JPEG files of 500x375 pixels are made, random windows at quality 90. Then, in turn, each in a fresh
process: `convscope train` on that folder for two epochs with a cold cache, and the same command with its batches
replaced by random floats that lie ready in memory, and no augmentation. The second takes the first one's plan, so that
both compute in the same way. What is compared is the rate of the second epoch. The first is given twice: by itself,
and from the command on, with start-up, the decoding of every file and the plan.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.report.table import Column, Table, print_table
from convscope.report.units import exact, percent
from kit.images import read_once
from kit.results import RESULTS, add_rows, read_rows, where_and_when

BENCH = Path(__file__).parent
SIZE = (500, 375)  # width, height
VALIDATION = 2  # files of each class
AS_THEY_ARE = ("--flip", "no", "--random-crop-padding", "0", "--random-resized-crop", "no")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("CONVSCOPE_DATASETS"))
    parser.add_argument("--images", type=int, default=5000, help="files to train on")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each, in turn")
    parser.add_argument("--options", default="", help="more options of `convscope train`, in one string")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of photos.csv")
    given = parser.parse_args()
    photos = sorted((Path(given.folder) / "photos").glob("*.JPEG")) if given.folder else []
    if not photos:
        print(f"skipped: no photos/*.JPEG in {given.folder or 'CONVSCOPE_DATASETS'}")
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        data = make_files(photos, Path(place) / "photos", given.images)
        read_once(data)
        for number in range(given.rounds):
            for ready in (False, True):
                rows.append(measure(data, Path(place) / str(number), given.options.split(), ready=ready))
            print(f"files {rows[-2]['later']:.1f}, ready tensors {rows[-1]['later']:.1f} images/s", flush=True)
    kept = []
    for source in ("files", "ready tensors"):
        own = [row for row in rows if row["source"] == source]
        medians = {name: statistics.median(row[name] for row in own) for name in own[0] if name != "source"}
        kept.append({"source": source, "images": given.images, "rounds": given.rounds, **medians, **where_and_when()})
    add_rows(given.results / "photos.csv", kept, key=("source",))
    print_table(table(read_rows(given.results / "photos.csv")))


def make_files(photos: list[Path], place: Path, images: int) -> Path:
    """Class folders below train/ and val/: windows of half to all of a photograph's width, seeded."""
    random = np.random.default_rng(0)
    for photo in photos:
        whole = Image.open(photo).convert("RGB")
        for number in range(-VALIDATION, -(-images // len(photos))):
            folder = place / ("val" if number < 0 else "train") / photo.stem
            folder.mkdir(parents=True, exist_ok=True)
            width = min(whole.width, whole.height * SIZE[0] / SIZE[1]) * random.uniform(0.5, 1)
            height = width * SIZE[1] / SIZE[0]
            left, top = random.uniform(0, whole.width - width), random.uniform(0, whole.height - height)
            window = whole.resize(SIZE, Image.Resampling.BILINEAR, (left, top, left + width, top + height))
            window.save(folder / f"{number}.jpg", quality=90)
    return place


def measure(data: Path, place: Path, options: list[str], *, ready: bool) -> dict[str, object]:
    """Train two epochs in a process of their own, and return images per second."""
    source = "ready tensors" if ready else "files"
    program = ["kit.synthetic", "train", str(data), *AS_THEY_ARE] if ready else ["convscope", "train", str(data)]
    command = [sys.executable, "-m", *program, "--model", "resnet18", "--image-size", "224", "--epochs", "2", *options]
    command += ["--runs", str(place), "--cache", str(place / "cache"), "--name", source, "--json"]
    metrics = place / source / "metrics.csv"
    paths = [str(BENCH.parent / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=BENCH, env=environment, stdout=subprocess.DEVNULL)
    start = None
    while process.poll() is None:
        if start is None and metrics.is_file():
            start = time.perf_counter() - began - float(read_rows(metrics)[-1]["time"])
        time.sleep(0.05)
    if process.returncode or start is None:
        sys.exit(f"{' '.join(program)} ended with {process.returncode}")
    first, later = read_rows(metrics)
    images = len(list((data / "train").glob("*/*")))
    rate = float(first["images_per_second"])
    return {
        "source": source,
        "from_command": images / (start + images / rate),
        "first": rate,
        "later": float(later["images_per_second"]),
        "data_wait": float(later["data_wait"]),
    }


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row a source; the last column is the second epoch's rate against that of ready tensors."""
    rates = ("epoch 1 from the command, images/s", "epoch 1", "epoch 2", "of it preparing batches", "ratio")
    columns = [Column("images from"), *(Column(name, numeric=True) for name in ("images", "rounds", *rates))]
    ready = next(float(row["later"]) for row in rows if row["source"] == "ready tensors")
    cells = [
        (row["source"], exact(int(row["images"])), row["rounds"],
         *(f"{float(row[name]):,.1f}" for name in ("from_command", "first", "later")),
         percent(float(row["data_wait"])), f"{float(row['later']) / ready:.3f}")
        for row in rows
    ]  # fmt: skip
    return Table.of(columns, cells)


if __name__ == "__main__":
    main()
