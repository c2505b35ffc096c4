"""A process of the worker pool: reads tasks as lines of JSON, writes results as such, and ends when its input ends.

It is started by `worker_pool` as `python -m convscope.experiments.ablation.worker`. First comes what to open, then
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


class _SendingListener(Silent):
    """A listener that sends the share of a training that is done."""

    def __init__(self, replies: IO[str]) -> None:
        self._replies = replies

    def stepped(self, step: StepProgress) -> None:
        send(self._replies, {"share": (step.epoch - 1 + step.batch / step.batches) / step.epochs})


def send(replies: IO[str], message: dict[str, Any]) -> None:
    """Write one message and flush it."""
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def work(tasks: SimpleQueue[dict[str, Any]], replies: IO[str]) -> None:
    """Open what the first task names, then train each task that follows."""
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.experiments.ablation.trial import run_trial
    from convscope.experiments.ablation.variants import find_variant
    from convscope.recipe.recipe import Recipe
    from convscope.training.session import Sharing, prepare

    setup = tasks.get()
    cache = None if setup["cache"] is None else Path(setup["cache"])
    recipe = Recipe.from_dict(setup["recipe"])
    session = prepare(
        recipe,
        listener=Silent(),
        cache_directory=cache,
        earlier=tuple(setup["classes"]),
        any_threads=True,
        # The batch was fitted to the memory for all workers together.
        share=lambda resolved: Sharing(fixed_batch=True),
    )
    send(replies, {"ready": True})
    while True:
        task = tasks.get()
        trial = run_trial(
            session, find_variant(task["variant"]), task["seed"], listener=_SendingListener(replies), stop=lambda: False
        )
        assert trial is not None, "a worker's training is stopped only by ending the worker"
        send(replies, {"trial": trial.to_dict()})


def serve(tasks: SimpleQueue[dict[str, Any]], replies: IO[str]) -> None:
    """Work until the process ends, or send the error that ends it, and whether it is a lack of memory."""
    try:
        work(tasks, replies)
    except ConvscopeError as error:
        from convscope.training.resolve.memory import OutOfMemoryError

        send(replies, {"refused": str(error), "of_memory": isinstance(error, OutOfMemoryError)})


def main() -> None:
    """Reply on what stdout was; what libraries print goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            tasks.put(json.loads(line))
        os._exit(0)  # the pool is gone, even by kill -9: no result of this training is read

    threading.Thread(target=listen, daemon=True).start()
    serve(tasks, replies)


if __name__ == "__main__":
    main()
