"""Top patches of all layers of a network, beside plain inference over the same images.

    python bench/top_patches.py [--images 10000] [--model resnet18] [--size 224] [--rounds 5] [--threads 0]

The images are random pixels and the weights drawn: what is measured is time. In each round the network runs over all
images once (in evaluation mode and without gradients, in batches of the same size), and once through
`interpret.features.top_patches`; which of the two comes first alternates. Printed are the medians and the ratio of each
round.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np
import torch

from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet, Rows
from convscope.interpret.features.top_patches import top_patches
from convscope.interpret.replay.replays import Replays
from convscope.nets.build import build
from convscope.report.table import Column, Table, print_table
from convscope.scoring.answer import evaluation_batch


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="torch's own number unless given")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    network = build(given.model).eval()
    images = random_images(given.images, given.size)
    normalization, batch = Normalization.default(3), evaluation_batch(images.images.shape[1:])
    replays = Replays(network, name=given.model)
    layers = 0

    def infer() -> None:
        with torch.inference_mode():
            for pixels, _, _ in Batches(images, batch_size=batch, normalization=normalization):
                network(pixels)

    def search() -> None:
        nonlocal layers
        layers = len(top_patches(replays, images, normalization).layers)

    few = images.part(slice(0, 2 * batch))
    top_patches(replays, few, normalization)  # both are warm
    with torch.inference_mode():
        network(next(iter(Batches(few, batch_size=batch, normalization=normalization)))[0])
    plain, searched = [], []
    for number in range(given.rounds):
        for kind in ("plain", "search") if number % 2 == 0 else ("search", "plain"):
            start = time.perf_counter()
            (infer if kind == "plain" else search)()
            (plain if kind == "plain" else searched).append(time.perf_counter() - start)
        print(
            f"round {number + 1}: {plain[-1]:.1f} s, {searched[-1]:.1f} s, {searched[-1] / plain[-1]:.3f}", flush=True
        )
    ratios = sorted(b / a for a, b in zip(plain, searched, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    columns = [Column("network"), *(Column(name, numeric=True) for name in (
        "images", "layers", "inference", "top patches", "ratio", "least", "largest", "peak MB"))]  # fmt: skip
    print_table(Table.of(columns, [[
        f"{given.model} at {given.size}", f"{given.images:,}", str(layers), f"{statistics.median(plain):.1f} s",
        f"{statistics.median(searched):.1f} s", f"{statistics.median(ratios):.3f}", f"{ratios[0]:.3f}",
        f"{ratios[-1]:.3f}", f"{peak:,.0f}",
    ]]))  # fmt: skip


def random_images(count: int, size: int) -> ImageSet:
    """Return images of random pixels; above 512 of them the same ones again, to need little memory."""
    pixels = np.random.default_rng(0).integers(0, 256, (min(count, 512), size, size, 3), dtype=np.uint8)
    rows = np.arange(count) % len(pixels)
    return ImageSet(Rows(pixels, rows), np.zeros(count, np.int64), [str(row) for row in range(count)])


if __name__ == "__main__":
    main()
