"""Likely label errors: labels are swapped, and looked for among all images.

    python bench/label_errors.py [DATA] [--share 0.02] [--seed 0]

DATA is anything that `convscope check` takes, by default `cifar10` below CONVSCOPE_DATASETS. A share of all images gets
another class, drawn at random; what is printed is how many of them lie among the first images of the ranked list.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from convscope.data.open import open_dataset, probe
from convscope.data.records import ImageSet
from convscope.experiments.check.label_errors import FOLDS, find_label_errors
from convscope.hardware.allocator import prepare_memory
from convscope.recipe.recipe import Recipe
from convscope.report.progress import shown_progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default=str(Path(os.environ.get("CONVSCOPE_DATASETS", ".")) / "cifar10"))
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prepare_memory()
    found = probe(options.data)
    dataset = open_dataset(found)
    parts = list(dataset.splits.values())
    labels = np.concatenate([part.labels for part in parts])
    draw = np.random.default_rng(options.seed)
    planted = draw.choice(len(labels), round(options.share * len(labels)), replace=False)
    labels[planted] = (labels[planted] + draw.integers(1, len(dataset.classes), len(planted))) % len(dataset.classes)
    images = ImageSet(np.concatenate([np.asarray(part.images) for part in parts]), labels, [""] * len(labels))
    with shown_progress() as progress:
        errors = find_label_errors(
            found,
            Recipe(),
            replace(dataset, train=images, val=None, test=None),
            fold=draw.permutation(len(labels)) % FOLDS,
            progress=progress,
            cache_directory=None,
        )
    print(f"{len(labels):,} images of {options.data}, {len(planted):,} with another class; {errors.seconds:.0f} s")
    print(f"out-of-fold accuracy {errors.accuracy:.1%}; {len(errors.likely):,} likely errors\n")
    print(f"{'first of the list':<20}{'planted ones found':>20}{'of all planted':>16}")
    is_planted = np.isin(errors.ranked, planted)
    for share in (0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2):
        hits = int(is_planted[: round(share * len(labels))].sum())
        print(f"{share:<20.0%}{hits:>20,}{hits / len(planted):>16.1%}")
    confident = np.isin([error.row for error in errors.likely], planted)
    print(
        f"\nof the likely errors, {confident.sum():,} are planted: {confident.sum() / len(planted):.1%} of all planted"
    )


if __name__ == "__main__":
    main()
