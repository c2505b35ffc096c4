"""Several trainings at once, each in a process of its own with its share of the cores.

On a CPU, N trainings of one thread each are done sooner than N trainings one after the other with N threads, because
threads of one training wait for one another at every layer. A training computes the same in either place.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from convscope.api.torch_state import known_state
from convscope.errors import ConvscopeError, RunError
from convscope.experiments.ablation.trial import Trial, run_trial
from convscope.experiments.ablation.variants import Variant
from convscope.report.usage import are_options, setting_name, write_as_options
from convscope.runs.events import Silent, StepProgress
from convscope.training.resolve.memory import OutOfMemoryError
from convscope.training.session import Session

LOOK_EVERY_SECONDS = 0.2
MODULE = "convscope.experiments.ablation.worker_pool"

Task = tuple[Variant, int]
# moved(which task of those given, its share that is done): called while trainings run.
Moved = Callable[[int, float], None]


def trials(
    tasks: Sequence[Task],
    *,
    session: Session,
    cache_directory: Path | None,
    jobs: int,
    moved: Moved,
    stop: Callable[[], bool],
) -> Generator[Trial]:
    """Train every task, and give each result when it is there; ends early when `stop()`, leaving the rest undone."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from _one_by_one(tasks, session, moved, stop)
    else:
        yield from _at_once(tasks, session, cache_directory, min(jobs, len(tasks)), moved, stop)


class _Moving(Silent):
    """A listener that passes on how far one task has come."""

    def __init__(self, task: int, moved: Moved) -> None:
        self._task, self._moved = task, moved

    def stepped(self, step: StepProgress) -> None:
        self._moved(self._task, step.step / step.steps)


def _one_by_one(tasks: Sequence[Task], session: Session, moved: Moved, stop: Callable[[], bool]) -> Iterator[Trial]:
    for number, (variant, seed) in enumerate(tasks):
        trial = run_trial(session, variant, seed, listener=_Moving(number, moved), stop=stop)
        if trial is None:
            return
        moved(number, 1.0)
        yield trial
        if stop():
            return


def _at_once(
    tasks: Sequence[Task],
    session: Session,
    cache_directory: Path | None,
    jobs: int,
    moved: Moved,
    stop: Callable[[], bool],
) -> Iterator[Trial]:
    """Hand tasks to workers as they come free; however this ends, no worker outlives it."""
    messages: SimpleQueue[tuple[int, dict[str, Any] | None]] = SimpleQueue()
    waiting = list(range(len(tasks)))[::-1]
    busy: dict[int, int] = {}
    with ExitStack() as stack:
        setup = {
            "recipe": session.recipe.to_dict(),
            "classes": list(session.spec.classes),
            "cache": None if cache_directory is None else str(cache_directory),
            "options": are_options(),
        }
        workers = [
            stack.enter_context(_Worker(number, messages, setup, session.resolved.mode.threads))
            for number in range(jobs)
        ]
        # Each is started, and sent what to open, before any has replied.
        left = len(tasks)
        while left:
            if stop():
                return
            try:
                number, message = messages.get(timeout=LOOK_EVERY_SECONDS)
            except Empty:
                continue
            worker = workers[number]
            if message is None:
                raise RunError(
                    f"a training process ended ({worker.last_error_line()}): what is complete is kept; go on with "
                    f"{setting_name('resume')}, and with fewer {setting_name('jobs')} where the memory ran out"
                )
            if "refused" in message:
                raise (OutOfMemoryError if message["of_memory"] else RunError)(message["refused"])
            if "share" in message:
                moved(busy[number], message["share"])
                continue
            done = Trial.from_dict(message["trial"]) if "trial" in message else None
            if done is not None:
                left -= 1
                moved(busy.pop(number), 1.0)
            if waiting:
                busy[number] = waiting.pop()
                variant, seed = tasks[busy[number]]
                worker.send({"variant": variant.name, "seed": seed})
            if done is not None:
                yield done


class _Worker:
    """A process that trains, started when entered and ended when left, whatever it is doing."""

    def __init__(
        self,
        number: int,
        messages: SimpleQueue[tuple[int, dict[str, Any] | None]],
        setup: dict[str, Any],
        threads: int,
    ) -> None:
        self._number, self._messages, self._setup = number, messages, setup
        self._threads = str(threads)

    def __enter__(self) -> _Worker:
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": self._threads},
            # A Ctrl-C in the terminal is for the process that hands out the work; it ends the workers.
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.send(self._setup)
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.kill()
        process.wait()
        self._listener.join()
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()
        self._errors.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; what a process that has ended misses shows when it is listened to."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def last_error_line(self) -> str:
        """Return its last line on stderr."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit {self._process.wait()}"

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._messages.put((self._number, json.loads(line)))
        self._messages.put((self._number, None))


class _SendingListener(Silent):
    """A listener that sends the share of a training that is done."""

    def __init__(self, replies: IO[str]) -> None:
        self._replies = replies

    def stepped(self, step: StepProgress) -> None:
        send(self._replies, {"share": step.step / step.steps})


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
    from convscope.training.opening import Opening, Sharing
    from convscope.training.session import prepare

    setup = tasks.get()
    write_as_options(setup["options"])
    cache = None if setup["cache"] is None else Path(setup["cache"])
    recipe = Recipe.from_dict(setup["recipe"])
    session = prepare(
        recipe,
        Opening(
            listener=Silent(),
            cache_directory=cache,
            earlier=tuple(setup["classes"]),
            any_threads=True,
            # The batch was fitted to the memory for all workers together.
            share=lambda resolved: Sharing(fixed_batch=True),
        ),
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
    with known_state():  # the caller's environment may raise warnings as errors
        serve(tasks, replies)


if __name__ == "__main__":
    main()
