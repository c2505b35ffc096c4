"""A step that the memory refuses while an ablation trains: every training gets half as many images a step.

Trainings with different batches would not compare, so this goes only while none is complete.
"""

from __future__ import annotations

from dataclasses import replace

from convscope.errors import RunError
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.results import read_results
from convscope.experiments.ablation.series import Series
from convscope.experiments.ablation.trial import OutOfMemoryError, Trial
from convscope.recipe.recipe_file import to_toml
from convscope.runs.atomic_files import write_file
from convscope.training.resolve.memory import LEAST_BATCH, followed, with_batch
from convscope.training.resolve.resolve import resolve


def train_halving(series: Series, done: list[Trial]) -> Ablation:
    """Train the series, with half the batch, a quarter, ... where the memory refuses more.

    Raises:
        RunError: a training is complete already, or there is nothing left to halve.
    """
    while True:
        try:
            return series.train(done)
        except OutOfMemoryError as error:
            # Only the words are kept: the error itself holds on to all that was in memory.
            refused = str(error)
        if read_results(series.run).trials:
            raise RunError(f"{refused}, and the complete trainings had such steps: free memory")
        series = _with_half_the_batch(series, refused)


def _with_half_the_batch(series: Series, refused: str) -> Series:
    """Return the series with half as many images a step, said and written down as its recipe."""
    bench = series.bench
    before = resolve(bench.recipe, bench.found)
    if before.batch_size < 2 * LEAST_BATCH:
        raise RunError(f"{refused}: take smaller images or a smaller network")
    resolved = with_batch(before, before.batch_size // 2)
    series.notify(f"memory: {refused}: {followed(resolved, before)}")
    write_file(series.run.recipe_path, to_toml(resolved.recipe))
    return replace(series, bench=replace(bench, recipe=resolved.recipe))
