"""What the part "What it learned" of a report costs a training: the same recipe with and without it, in turns.

    python bench/report_learned.py [--data digits] [--model lenet5] [--epochs 20] [--rounds 7] [--batch 0]

In each round the recipe is trained twice in this process, once as every run does it and once without that part; which
comes first alternates. Compared is the time of the whole call, with the test and the report. Printed are the seconds,
the ratio of each round, and the medians: the aim is 1.02 for a training of a minute and more; a shorter one may take a
second for it.
"""

from __future__ import annotations

import time
from pathlib import Path
from unittest import mock

import convscope
from convscope.interpret.learned.in_training import LearnedInTraining
from convscope.training import finish
from kit.part_of_training import compare


def timed(data: str, recipe: convscope.Recipe, folder: Path, learned: bool) -> float:
    """Return the seconds of a whole call of `convscope.train`."""
    measure = finish.learned_in_training if learned else lambda *_, **__: LearnedInTraining()
    with mock.patch.object(finish, "learned_in_training", measure):
        began = time.perf_counter()
        convscope.train(data, recipe, runs_directory=folder / "runs", cache_directory=folder / "cache")
        return time.perf_counter() - began


if __name__ == "__main__":
    compare(__doc__, timed, epochs=20)
