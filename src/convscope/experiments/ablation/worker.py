"""A process that trains what it is told: lines of JSON come in and go out, and it ends when nobody is left to talk to.

It is started by `crew` as `python -m convscope.experiments.ablation.worker`. First comes what to open, then
trainings by variant and seed. It writes no file but the cache of decoded images, which is there already.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from convscope.errors import ConvscopeError
from convscope.runs.events import Silent, StepProgress


class _Telling(Silent):
    """A listener that tells the crew how far a training has come."""

    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers

    def stepped(self, step: StepProgress) -> None:
        tell(self._answers, {"share": (step.epoch - 1 + step.batch / step.batches) / step.epochs})


def tell(answers: IO[str], message: dict[str, Any]) -> None:
    """Write one message and let it go at once."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def work(tasks: SimpleQueue[dict[str, Any]], answers: IO[str]) -> None:
    """Open what the first task names, then train each task that follows."""
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.data.open import probe
    from convscope.experiments.ablation.trial import open_bench, run_trial
    from convscope.experiments.ablation.variants import find_variant
    from convscope.recipe.recipe import Recipe

    setup = tasks.get()
    cache = None if setup["cache"] is None else Path(setup["cache"])
    recipe = Recipe.from_dict(setup["recipe"])
    found = probe(recipe.data, layout=recipe.layout, earlier=tuple(setup["classes"]))
    bench = open_bench(recipe, found, Silent(), cache)
    tell(answers, {"ready": True})
    while True:
        task = tasks.get()
        trial = run_trial(
            bench, find_variant(task["variant"]), task["seed"], listener=_Telling(answers), stop=lambda: False
        )
        assert trial is not None, "nobody stops a worker's training but by ending the worker"
        tell(answers, {"trial": trial.to_dict()})


def main() -> None:
    """Answer on what stdout was; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            tasks.put(json.loads(line))
        os._exit(0)  # the crew is gone, by its own will or by kill -9: nobody waits for this training

    threading.Thread(target=listen, daemon=True).start()
    try:
        work(tasks, answers)
    except ConvscopeError as error:
        tell(answers, {"refused": str(error), "of_memory": type(error).__name__ == "NoMemory"})


if __name__ == "__main__":
    main()
