"""Expected calibration error of default runs, before and after the temperature, on test images pooled over seeds.

    python bench/calibration.py DATA [--seeds 1] [--epochs auto]

DATA is anything that `convscope train` takes: `cifar10`, `mnist10k`, or digits (with --seeds 10). The interval is the
percentile bootstrap's over the images, 95 %.
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np

import convscope
from convscope.arrays import Floats
from convscope.data.open import open_dataset, probe
from convscope.recipe.recipe import Recipe
from convscope.scoring.metrics import bins_of, calibration_error

DRAWS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", default="auto")
    options = parser.parse_args()
    epochs = options.epochs if options.epochs == "auto" else int(options.epochs)
    before, after, labels = [], [], []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as place:
            outcome = convscope.train(options.data, Recipe(epochs=epochs, seed=seed), runs_directory=place)
            spec, recipe = outcome.run.spec(), outcome.run.recipe()
            dataset = open_dataset(
                probe(recipe.data, earlier=spec.classes),
                decoding=spec.decoding,
                validation_fraction=recipe.held_back,
                test_fraction=recipe.test_fraction,
                seed=recipe.seed_of_split,
            )
            scores = convscope.load(outcome.run).scores(dataset.test)[:, 1]
        before.append(spec.of_training.objective.probabilities_of(scores))
        after.append(spec.objective.probabilities_of(scores))
        labels.append(dataset.test.labels)
        print(f"seed {seed}: temperature {spec.temperature}, {len(dataset.val.labels):,} validation images", flush=True)
    truth = np.concatenate(labels)
    for name, parts in (("before", before), ("after", after)):
        error, low, high = errors(np.concatenate(parts), truth)
        print(f"{name:<7}{error:.2%}  95 % interval {low:.2%} to {high:.2%}, {len(truth):,} test images")


def errors(probabilities: Floats, labels: np.ndarray) -> tuple[float, float, float]:
    """Return the expected calibration error, and its bootstrap interval."""
    draw = np.random.default_rng(0)

    def error(rows: np.ndarray) -> float:
        return calibration_error(bins_of(probabilities[rows], labels[rows], ranks=probabilities[rows]))

    rows = np.arange(len(labels))
    low, high = np.percentile([error(draw.choice(rows, len(rows))) for _ in range(DRAWS)], [2.5, 97.5])
    return error(rows), float(low), float(high)


if __name__ == "__main__":
    main()
