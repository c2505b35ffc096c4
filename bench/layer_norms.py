"""What measuring the norms of layers costs a training: the same recipe with and without it, in turns.

    python bench/layer_norms.py [--data digits] [--model lenet5] [--epochs 3] [--rounds 7] [--batch 0]

In each round the recipe is trained twice in this process, once as every run does it and once without the norms; which
comes first alternates. Compared is the training time that a run reports, without opening the data and the report.
Printed are the medians and the ratio of each round, its median last: the limit is 1.02.
"""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import convscope
from convscope.training.loop.norms import LayerNormMeter
from kit.part_of_training import compare


def timed(data: str, recipe: convscope.Recipe, folder: Path, measured: bool) -> float:
    """Return the seconds of a training, validation included."""
    due = LayerNormMeter.is_due if measured else lambda self, step: False
    with mock.patch.object(LayerNormMeter, "is_due", due):
        return convscope.train(data, recipe, runs_directory=folder / "runs", cache_directory=folder / "cache").seconds


if __name__ == "__main__":
    compare(__doc__, timed, epochs=3)
