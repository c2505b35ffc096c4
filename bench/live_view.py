"""What showing a training while it runs costs it: the same recipe with its view and progress and without, in turns.

    python bench/live_view.py [--data digits] [--model lenet5] [--epochs 3] [--rounds 7] [--batch 0]

In each round the recipe is trained twice in this process: once watched, as the studio watches it, and once with nothing
written to `live/` but the norms, and no look at what is asked for. Which comes first alternates. Compared is the
training time that a run reports. Printed are the medians and the ratio of each round, its median last: the limit is
1.02. The last line has what the views of the last watched training took by themselves, and their share of its time.
"""

from __future__ import annotations

import time
from pathlib import Path
from unittest import mock

import convscope
from convscope.runs.live_files import LiveFiles
from convscope.runs.live_view import LiveView
from convscope.training.live.live_run import LiveRun
from convscope.training.live.view_taker import ViewTaker
from kit.part_of_training import compare

# Seconds of each view of a training, and the seconds of that training.
VIEWS: list[float] = []
WHOLE: list[float] = []


def timed(data: str, recipe: convscope.Recipe, folder: Path, shown: bool) -> float:
    """Return the seconds of a training, validation included."""
    take = ViewTaker.take

    def taken(self: ViewTaker, step: int, epoch: float) -> LiveView:
        began = time.perf_counter()
        view = take(self, step, epoch)
        VIEWS.append(time.perf_counter() - began)
        return view

    if shown:
        VIEWS.clear()
        patches = [
            mock.patch.object(LiveFiles, "is_watched", property(lambda self: True)),
            mock.patch.object(ViewTaker, "take", taken),
        ]
    else:
        patches = [
            mock.patch.object(LiveRun, "between_steps", return_value=0.0),
            mock.patch.object(LiveRun, "stepped", return_value=None),
            mock.patch.object(LiveRun, "finishing", return_value=None),
        ]
    for patch in patches:
        patch.start()
    try:
        run = convscope.train(data, recipe, runs_directory=folder / "runs", cache_directory=folder / "cache")
    finally:
        for patch in patches:
            patch.stop()
    if shown:
        WHOLE[:] = [run.seconds]
    return run.seconds


if __name__ == "__main__":
    compare(__doc__, timed, epochs=3)
    whole, views = sum(WHOLE), sum(VIEWS)
    print(f"{len(VIEWS)} views in {whole:.2f} s: {1000 * views:.1f} ms in all, {views / whole:.2%} of the time")
