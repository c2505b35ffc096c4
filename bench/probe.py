"""A solved head on ResNet-50's features, from the command to its report, against one pass of inference for each view.

    python bench/probe.py [--images 10000] [--views one,flip] [--rounds 3] [--model resnet50] [--size 224]

JPEG files of ten classes are made, and weights are drawn: what is measured is time, not accuracy. In each round and for
each kind of views, a fresh process runs `convscope train FILES --recipe probe --weights DRAWN` with decoded images in
the cache and no features, and another one computes the network's scores of the same images, in the same arithmetic,
threads, memory format and with the same settings of the allocator, once for each view. Both are whole processes, their
start included; so is the same command again, which finds its features. The result of each round is kept as it comes,
and a call with the same settings goes on from there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.report.table import Column, Table, print_table
from convscope.report.units import exact
from kit.results import RESULTS, add_rows, read_rows, where_and_when

CLASSES = 10
KEY = ("model", "size", "images", "views", "round")
PASSES = {"one": 1, "flip": 2, "flip-shift": 6, "ten-crop": 10}

DECODE = """
import sys
from pathlib import Path
from convscope.data.open import open_dataset
from convscope.data.records import Decoding

side = int(sys.argv[3])
open_dataset(sys.argv[1], decoding=Decoding(size=(side, side)), cache_directory=Path(sys.argv[2]))
"""

PASS = """
import sys
from pathlib import Path
from convscope.hardware.allocator import prepare_memory
prepare_memory()
import torch
import convscope
from convscope.data.open import open_dataset, probe
from convscope.hardware.mode import ComputeMode, computing
from convscope.runs.run_directory import Run
from convscope.scoring.answer import scores_of_images

run, cache, passes = Run(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
recipe, spec = run.recipe(), run.spec()
dataset = open_dataset(
    probe(recipe.data, earlier=spec.classes),
    decoding=spec.decoding,
    validation_fraction=recipe.held_back,
    test_fraction=recipe.test_fraction,
    seed=recipe.seed_of_split,
    cache_directory=cache,
)
network = convscope.load(run).network
precision, memory_format = recipe.precision, recipe.memory_format
mode = ComputeMode(precision=precision, memory_format=memory_format, compile="no", threads=recipe.threads)
mode.lay_out(network)
with computing(mode, "cpu"):
    for images in dataset.splits.values():
        for _ in range(passes):
            scores_of_images(network, images, spec.normalization, forward=mode.forward_of(network))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--views", default="one,flip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--folder", type=Path, help="where files and cache are kept; else a temporary folder")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of probe.csv")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = given.folder or Path(place)
        measure_all(given, folder, given.results / "probe.csv")


def measure_all(given: argparse.Namespace, folder: Path, results: Path) -> None:
    """Measure what is not in the results yet, and print the medians."""
    data = make_files(folder / "images", given.images, given.size)
    weights = draw_weights(folder, given.model)
    timed([sys.executable, "-c", DECODE, data, folder / "cache", given.size])
    for number in range(given.rounds):
        for views in given.views.split(","):
            key = dict(zip(KEY, (given.model, given.size, given.images, views, number), strict=True))
            known = [{name: row[name] for name in KEY} for row in read_rows(results)]
            if {name: str(value) for name, value in key.items()} in known:
                continue
            forget_features(folder / "cache")
            probe = train(given, data, weights, folder, "probe", views)
            again = train(given, data, weights, folder, "again", views)
            passes = timed([sys.executable, "-c", PASS, folder / "runs" / "probe", folder / "cache", PASSES[views]])
            row = {**key, "probe_seconds": probe, "again_seconds": again, "pass_seconds": passes}
            add_rows(results, [{**row, **where_and_when()}], key=KEY)
    print_table(table(read_rows(results)))


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row for each network, images and kind of views: medians of its rounds."""
    kinds: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        kinds.setdefault(tuple(row[name] for name in ("model", "size", "images", "views")), []).append(row)
    lines = []
    for (model, size, images, views), rounds in kinds.items():
        medians = [
            statistics.median(float(row[name]) for row in rounds)
            for name in ("probe_seconds", "again_seconds", "pass_seconds")
        ]
        ratio = statistics.median(float(row["probe_seconds"]) / float(row["pass_seconds"]) for row in rounds)
        shown = (*(f"{value:.1f}" for value in medians), f"{ratio:.2f}")
        lines.append((model, size, exact(int(images)), views, str(len(rounds)), *shown))
    numbers = ("probe, s", "again, s", "a pass for each view, s", "ratio")
    columns = [Column("network"), *(Column(name, numeric=True) for name in ("side", "images")), Column("views")]
    return Table.of([*columns, *(Column(name, numeric=True) for name in ("rounds", *numbers))], lines)


def make_files(folder: Path, images: int, size: int) -> Path:
    """Write JPEG files of ten classes: blurred noise, on a colour of the class's own."""
    draw = np.random.default_rng(0)
    for number in range(images):
        file = folder / f"class{number % CLASSES}" / f"{number:05}.jpg"
        pixels = draw.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels[:, :, number % 3] = pixels[:, :, number % 3] // 2 + 12 * (number % CLASSES)
        Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC).save(file, quality=90)
    return folder


def draw_weights(folder: Path, model: str) -> Path:
    """Write random weights of the network, for a thousand classes."""
    path = folder / f"{model}.safetensors"
    if not path.exists():
        import torch
        from safetensors.torch import save_file

        from convscope.nets.build import build

        torch.manual_seed(0)
        save_file(build(model, num_classes=1000).state_dict(), path)
    return path


def train(given: argparse.Namespace, data: Path, weights: Path, folder: Path, name: str, views: str) -> float:
    """Return the seconds of the whole command."""
    shutil.rmtree(folder / "runs" / name, ignore_errors=True)
    command = [sys.executable, "-m", "convscope", "train", data, "--recipe", "probe", "--weights", weights]
    command += ["--model", given.model, "--image-size", given.size, "--head-views", views, "--name", name]
    return timed([*command, "--runs", folder / "runs", "--cache", folder / "cache"])


def forget_features(cache: Path) -> None:
    """Remove the features in the cache; decoded images stay."""
    for part in list(cache.glob("*/part-*")):
        shutil.rmtree(part.parent, ignore_errors=True)


def timed(command: list[object]) -> float:
    """Return the seconds that a command takes; raise CalledProcessError where it fails."""
    began = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, capture_output=True, env={**os.environ})
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
